import type { TextTokenizer } from '@lowrank/data';

/**
 * BOS where the tokenizer adds one, then the text, and nothing after it, as in rows for training. An empty text is BOS
 * alone, and nothing where the tokenizer has none.
 */
export function promptTokens(text: string, tokenizer: TextTokenizer): number[] {
  const { bosId, addsBos } = tokenizer;
  if (text === '' && bosId !== undefined) return [bosId];
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  return addsBos && bosId !== undefined ? [bosId, ...ids] : ids;
}
