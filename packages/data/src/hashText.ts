/**
 * MurmurHash3 (Appleby, x86, 32 bits) over the UTF-16 units of a text, two at a time: the same in every runtime. Used
 * to
 * draw rows by what they ask.
 */
export function hashText(text: string, seed = 0): number {
  let hash = seed | 0;
  for (let at = 0; at < text.length; at += 2) {
    const second = at + 1 < text.length ? text.charCodeAt(at + 1) : 0;
    hash = mixed(hash, text.charCodeAt(at) | (second << 16));
  }
  return finished(hash, text.length);
}

/** The same over whole numbers of 32 bits. */
export function hashNumbers(numbers: Int32Array, seed = 0): number {
  let hash = seed | 0;
  for (const number of numbers) hash = mixed(hash, number);
  return finished(hash, numbers.length * 4);
}

function mixed(hash: number, block: number): number {
  let k = Math.imul(block, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const next = hash ^ k;
  return (Math.imul((next << 13) | (next >>> 19), 5) + 0xe6546b64) | 0;
}

function finished(hash: number, length: number): number {
  let last = hash ^ length;
  last = Math.imul(last ^ (last >>> 16), 0x85ebca6b);
  last = Math.imul(last ^ (last >>> 13), 0xc2b2ae35);
  return (last ^ (last >>> 16)) >>> 0;
}
