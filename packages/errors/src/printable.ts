const controls = /[\p{Cc}\p{Surrogate}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/**
 * A text with control characters written as escapes (`\\u001b`), so that what a file says cannot move the cursor,
 * recolour or retype a terminal, nor turn the direction of what follows. Line ends and tabs stay.
 */
export function printable(text: string): string {
  return text.replace(controls, (found) =>
    found === '\n' || found === '\t' ? found : `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
