const units: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** What a size of memory looks like, for errors. */
export const sizeForm = 'a size such as 8GB, 7.5GiB or 512MB';

/** Bytes of `8GB`, `7.5GiB`, `512MB`, or of a plain number; undefined for anything else. */
export function memorySize(text: string): number | undefined {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([kmgt]i?b|b|)$/i.exec(text.trim()) ?? [];
  const bytes = Math.floor(Number(number) * (units[unit.toLowerCase()] ?? 0));
  return number !== '' && bytes > 0 ? bytes : undefined;
}
