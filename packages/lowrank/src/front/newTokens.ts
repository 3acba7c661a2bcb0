import type { TextFiles, WithTokens } from '@lowrank/data';
import { addTokens } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { Method } from '@lowrank/methods';
import type { CausalModel } from '@lowrank/models';
import { resizeTokens } from '@lowrank/nn';

/**
 * Adds tokens to a tokenizer, and rows for them to a model that has too few; tables that are padded beyond the
 * vocabulary
 * keep their size.
 */
export async function newTokens(
  folder: TextFiles,
  network: CausalModel,
  tokens: readonly string[],
): Promise<WithTokens> {
  const added = await addTokens(folder, tokens);
  await resizeTokens(network, Math.max(network.shape.vocabularySize, added.tokenizer.vocabularySize));
  return added;
}

/** @throws LowrankError `cli.conflict` for a method whose files have no tables */
export function checkKeepsTables({ name, title, keepsTables = false }: Method): void {
  if (keepsTables) return;
  throw new LowrankError({
    code: 'cli.conflict',
    what: (names) => `${names('addTokens')} with ${names('method', name)}`,
    expected: 'a method whose files hold the tables of a resized model: lora or full',
    got: title,
    remedy: 'Train with LoRA, or add the tokens with --method full first.',
  });
}
