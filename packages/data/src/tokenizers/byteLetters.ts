/**
 * The letters that byte-level tokenizers write bytes with (Radford et al. 2019): printable Latin-1 characters stand for
 * themselves, the others are letters from U+0100 on.
 */
export const letterOfByte: readonly string[] = letters();
/** The byte of each such letter. */
export const byteOfLetter: ReadonlyMap<string, number> = new Map(letterOfByte.map((letter, byte) => [letter, byte]));

function letters(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(printable ? byte : next++);
  });
}

const utf8 = new TextEncoder();
const lettersOfCharacter = new Map<string, string>();

/** A character's bytes in UTF-8, as letters. */
export function byteLettersOf(character: string): string {
  const known = lettersOfCharacter.get(character);
  if (known !== undefined) return known;
  let written = '';
  for (const byte of utf8.encode(character)) written += letterOfByte[byte] ?? '';
  if (lettersOfCharacter.size < 4096) lettersOfCharacter.set(character, written);
  return written;
}
