import type { ChatMessage } from './chat.js';
import type { PreferenceRow, Turns } from './textRow.js';

/**
 * Takes what two answers begin with alike for their prompt, as TRL's `extract_prompt`: message by message, or letter by
 * letter without the space that the answers may begin with. Where one is the beginning of the other, the last message
 * (or letter) of the shorter is left to the answers.
 */
export function implicitPrompt(chosen: Turns, rejected: Turns): Pick<PreferenceRow, 'prompt' | 'chosen' | 'rejected'> {
  if (typeof chosen === 'string' && typeof rejected === 'string') {
    // Python counts characters, not UTF-16 units.
    const [one, other] = [Array.from(chosen), Array.from(rejected)];
    const end = commonEnd(one, other, (a, b) => a === b);
    const at = end > 0 && one[end] !== other[end] && one[end - 1] === ' ' ? end - 1 : end;
    const from = (text: readonly string[]): string => text.slice(at).join('');
    return { prompt: one.slice(0, at).join(''), chosen: from(one), rejected: from(other) };
  }
  const [one, other] = [chosen as readonly ChatMessage[], rejected as readonly ChatMessage[]];
  const at = commonEnd(one, other, sameValue);
  return { prompt: one.slice(0, at), chosen: one.slice(at), rejected: other.slice(at) };
}

/** The first place where two lists differ; of lists that do not, the last place of the shorter. */
function commonEnd<T>(one: readonly T[], other: readonly T[], same: (a: T, b: T) => boolean): number {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at++) {
    const [a, b] = [one[at], other[at]];
    if (a === undefined || b === undefined || !same(a, b)) return at;
  }
  return Math.max(0, length - 1);
}

/** Equality of JSON values, whatever the order of keys. */
function sameValue(one: unknown, other: unknown): boolean {
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return one === other;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const [a, b] = [one, other] as Readonly<Record<string, unknown>>[];
  const keys = Object.keys(a ?? {});
  return keys.length === Object.keys(b ?? {}).length && keys.every((key) => sameValue(a?.[key], b?.[key]));
}
