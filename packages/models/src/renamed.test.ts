import { bytesSource, openSafetensors, serializeSafetensors } from '@lowrank/safetensors';
import type { SafetensorsFile } from '@lowrank/safetensors';
import { expect, test } from 'vitest';
import { bodyNames, renamed } from './renamed.js';

async function fileOf(...names: string[]): Promise<SafetensorsFile> {
  const entries = names.map((name, at) => ({
    name,
    dtype: 'U8' as const,
    shape: [2],
    data: Uint8Array.of(at, at + 10),
  }));
  return openSafetensors(bytesSource(serializeSafetensors(entries), 'model.safetensors'));
}

test('tensors under other names are read from where they are; what has none is gone', async () => {
  const file = renamed(await fileOf('a', 'b', 'c'), (name) => (name === 'c' ? undefined : `x.${name}`));
  expect([...file.tensors].map(([name, info]) => [name, info.name])).toEqual([
    ['x.a', 'a'],
    ['x.b', 'b'],
  ]);
  expect([...(await file.read('x.b'))]).toEqual([1, 11]);
  expect([...(await file.readRange('x.b', 1, 2))]).toEqual([11]);
  await expect(file.read('x.c')).rejects.toThrow(/x\.c/);
});

test('a checkpoint of the body alone gets the body’s name; the output projection is not of the body', async () => {
  const isBuffer = (name: string): boolean => name.endsWith('.mask');
  const names = { body: 'transformer', heads: ['lm_head', 'embed_out'], isBuffer };
  const bare = bodyNames(await fileOf('h.0.weight', 'h.0.mask', 'lm_head.weight', 'embed_out.weight'), names);
  expect([...bare.tensors.keys()].sort()).toEqual(['embed_out.weight', 'lm_head.weight', 'transformer.h.0.weight']);
  const whole = bodyNames(await fileOf('transformer.h.0.weight', 'other.weight', 'transformer.h.0.mask'), names);
  expect([...whole.tensors.keys()].sort()).toEqual(['other.weight', 'transformer.h.0.weight']);
});
