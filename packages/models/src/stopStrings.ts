/** Finds the end of a text that arrives in pieces. */
export interface StopStrings {
  /**
   * The part of the text so far that is sure to stay, as far as it was not given out before, and whether the text ends
   * here.
   */
  push(piece: string): { readonly text: string; readonly stopped: boolean };
  /** What was held back: no more pieces come. */
  end(): string;
}

/**
 * Cuts a text exactly before the first of `stops`, wherever the borders of its pieces lie. What may be the beginning of
 * a stop string is held back until the next pieces decide. Of several that begin at one place any will do: the cut is
 * the same.
 */
export function stopStrings(stops: readonly string[]): StopStrings {
  let held = '';
  return {
    push(piece) {
      held += piece;
      const at = Math.min(...stops.map((stop) => held.indexOf(stop)).filter((found) => found >= 0));
      if (at !== Infinity) {
        const text = held.slice(0, at);
        held = '';
        return { text, stopped: true };
      }
      const keep = Math.max(0, ...stops.map((stop) => beginning(held, stop)));
      const text = held.slice(0, held.length - keep);
      held = held.slice(held.length - keep);
      return { text, stopped: false };
    },
    end() {
      const text = held;
      held = '';
      return text;
    },
  };
}

/** The length of the longest end of `text` that `stop` begins with. */
function beginning(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--)
    if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
