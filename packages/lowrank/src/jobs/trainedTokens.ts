import type { TextTokenizer } from '@lowrank/data';
import { readTokenizer } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';

/**
 * Token ids of what was given: ids, or the tokens' own text, which has to be one token.
 *
 * @throws LowrankError `cli.tokens`
 */
export async function tokenIdsOf(tokens: readonly (number | string)[], folder: string): Promise<number[]> {
  let tokenizer: TextTokenizer | undefined;
  const ids: number[] = [];
  for (const token of tokens) {
    if (typeof token === 'number') {
      ids.push(token);
      continue;
    }
    tokenizer ??= await readTokenizer(folder);
    const [id, ...more] = tokenizer.encode(token, { addSpecialTokens: false });
    if (id === undefined || more.length > 0)
      throw new LowrankError({
        code: 'cli.tokens',
        what: `--trainable-tokens ${JSON.stringify(token)}`,
        expected: 'one token of the tokenizer',
        got: id === undefined ? 'none' : `${more.length + 1} tokens, ${[id, ...more].join(', ')}`,
        remedy: 'Name ids, or add the token to the tokenizer and the model first.',
      });
    ids.push(id);
  }
  const twice = ids.find((id, at) => ids.indexOf(id) !== at);
  if (twice !== undefined)
    throw new LowrankError({
      code: 'cli.tokens',
      what: '--trainable-tokens',
      expected: 'each token once',
      got: `${twice} twice`,
    });
  return ids;
}
