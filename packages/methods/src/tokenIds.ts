import { LowrankError } from '@lowrank/errors';
import type { MethodContext, TextEncoder } from './method.js';

/**
 * Token ids of what was given: ids, or the tokens' own text, which has to be one token.
 *
 * @throws LowrankError `methods.tokens`
 */
export async function tokenIdsOf(
  tokens: readonly (number | string)[],
  tokenizer: MethodContext['tokenizer'],
): Promise<number[]> {
  const ids: number[] = [];
  for (const token of tokens)
    ids.push(typeof token === 'number' ? token : oneToken(token, await requireTokenizer(token, tokenizer)));
  const twice = ids.find((id, at) => ids.indexOf(id) !== at);
  if (twice !== undefined)
    throw new LowrankError({
      code: 'methods.tokens',
      what: (names) => names('trainableTokens'),
      expected: 'each token once',
      got: `${twice} twice`,
      setting: 'trainableTokens',
    });
  return ids;
}

function oneToken(token: string, tokenizer: TextEncoder): number {
  const [id, ...more] = tokenizer.encode(token, { addSpecialTokens: false });
  if (id !== undefined && more.length === 0) return id;
  throw new LowrankError({
    code: 'methods.tokens',
    what: (names) => `${names('trainableTokens')} ${JSON.stringify(token)}`,
    expected: 'one token of the tokenizer',
    got: id === undefined ? 'none' : `${more.length + 1} tokens, ${[id, ...more].join(', ')}`,
    remedy: 'Name ids, or add the token to the tokenizer and the model first.',
    setting: 'trainableTokens',
  });
}

async function requireTokenizer(token: string, tokenizer: MethodContext['tokenizer']): Promise<TextEncoder> {
  const found = await tokenizer?.();
  if (found !== undefined) return found;
  throw new LowrankError({
    code: 'methods.tokens',
    what: (names) => `${names('trainableTokens')} ${JSON.stringify(token)}`,
    expected: 'a tokenizer to look it up with, or an id',
    got: 'none',
    setting: 'trainableTokens',
  });
}
