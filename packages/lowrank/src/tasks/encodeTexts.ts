import type { TextTokenizer } from '@lowrank/data';
import type { TaskDocument } from './task.js';

/**
 * A text or a pair as transformers encodes it with `truncation=True`: special tokens around them, token types, and at
 * most `maxLength` tokens, for which the longer text of a pair loses its end first (`longest_first`).
 */
export function encodeTexts(
  [first, second]: readonly [first: string, second: string | undefined],
  { tokenizer, maxLength }: { readonly tokenizer: TextTokenizer; readonly maxLength: number },
): TaskDocument {
  const encode = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });
  const parts = [encode(first), ...(second === undefined ? [] : [encode(second)])];
  const whole = parts.reduce((sum, ids) => sum + ids.length, 0);
  const around = tokenizer.assemble([], second === undefined ? undefined : []).ids.length;
  for (let left = whole + around - maxLength; left > 0; left--) {
    const [a, b] = parts;
    if (b !== undefined && a !== undefined && b.length >= a.length) b.pop();
    else a?.pop();
  }
  const [a = [], b] = parts;
  const { ids, types } = tokenizer.assemble(a, b);
  return { ids, types, fullLength: whole + around };
}

/** A document of so many tokens, whichever they are. */
export function blankDocument(length: number): TaskDocument {
  const zeros = Array.from({ length }, () => 0);
  return { ids: zeros, types: zeros, fullLength: length };
}
