import { isLowrankError } from '@lowrank/errors';
import { expect, it } from 'vitest';
import { bytesSource } from './byteSource.js';
import { openSafetensors } from './open.js';
import { serializeSafetensors } from './write.js';

const valid = serializeSafetensors(
  [
    { name: 'model.layers.0.weight', dtype: 'F32', shape: [3, 5], data: new Uint8Array(60).fill(7) },
    { name: 'model.layers.0.bias', dtype: 'BF16', shape: [3], data: new Uint8Array(6).fill(9) },
    { name: 'mask', dtype: 'BOOL', shape: [], data: new Uint8Array(1) },
    { name: 'empty', dtype: 'I64', shape: [0, 7], data: new Uint8Array(0) },
  ],
  { format: 'pt' },
);
const headerEnd = 8 + Number(new DataView(valid.buffer).getBigUint64(0, true));

/** mulberry32: a seeded stream of uniform numbers below `below`. */
function randomInts(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}

const words = [
  '0',
  '-1',
  '1.5',
  '1e9',
  '9007199254740993',
  'null',
  '{}',
  '[]',
  '"',
  '"a"',
  ',',
  ':',
  '}',
  ']',
  '"F32"',
  '"dtype"',
  '"mask":{}',
  '\\',
  ' ',
];

function mutate(file: Uint8Array, random: (below: number) => number): Uint8Array {
  let bytes = [...file];
  for (let n = random(4); n >= 0; n--) {
    const at = random(headerEnd);
    const kind = random(6);
    if (kind === 0) bytes[at] = random(256);
    else if (kind === 1) bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
    else if (kind === 2) bytes.splice(at, random(9));
    else if (kind === 3) bytes.splice(at, random(3), ...new TextEncoder().encode(words[random(words.length)]));
    else if (kind === 4) bytes.splice(random(bytes.length), 0, ...bytes.slice(at, at + random(60)));
    else bytes = bytes.slice(0, random(bytes.length + 1));
  }
  const mutated = Uint8Array.from(bytes);
  // Half of the time the length is put right again, so that mutations reach behind the first check.
  if (random(2) === 0 && mutated.length >= 8 && mutated.length >= valid.length - headerEnd + 8) {
    new DataView(mutated.buffer).setBigUint64(0, BigInt(mutated.length - 8 - (valid.length - headerEnd)), true);
  }
  return mutated;
}

it('random mutations of a file open and read, or end in a LowrankError, and never in anything else', async () => {
  const outcomes = new Map<string, number>();
  const random = randomInts(20_261_123);
  for (let round = 0; round < 8000; round++) {
    const bytes = mutate(valid, random);
    const outcome = await openSafetensors(bytesSource(bytes)).then(
      async (file) => {
        let total = 0;
        for (const [name, tensor] of file.tensors) {
          expect(await file.read(name)).toHaveLength(tensor.byteLength);
          total += tensor.byteLength;
        }
        expect(total).toBeLessThanOrEqual(bytes.length);
        return 'opened';
      },
      (error: unknown) => {
        if (!isLowrankError(error)) throw error;
        return error.code;
      },
    );
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  // The mutations reach both ends: some files stay valid, and most kinds of refusal occur.
  expect(outcomes.get('opened')).toBeGreaterThan(10);
  expect(outcomes.size).toBeGreaterThan(10);
});
