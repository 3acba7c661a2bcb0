/** As deep as no file of a model is; Python's reader stops at about a thousand, Rust's at 128. */
const deepestNesting = 500;

/**
 * `JSON.parse`, but for values that are nested so deep that whatever walks them runs out of stack.
 *
 * @throws SyntaxError as `JSON.parse` does
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (isNestedDeeply(text)) throw new SyntaxError(`values nested more than ${deepestNesting} deep`);
  return value;
}

/** Of valid JSON: brackets within strings are passed over. */
function isNestedDeeply(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) at = endOfString(text, at);
    else if (code === 0x7b || code === 0x5b) {
      if (++depth > deepestNesting) return true;
    } else if (code === 0x7d || code === 0x5d) depth--;
  }
  return false;
}

/** The closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== 0x22) at += text.charCodeAt(at) === 0x5c ? 2 : 1;
  return at;
}
