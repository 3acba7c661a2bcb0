import { readFile } from 'node:fs/promises';
import { bytesSource, fileSource, openSafetensors, serializeSafetensors } from '@lowrank/safetensors';
import type { ByteSource, TensorEntry } from '@lowrank/safetensors';
import { fromNumbers } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { filesBy } from './files.js';
import type { ModelFiles } from './files.js';
import { loadCausalModel } from './load.js';
import type { TransferProgress } from './progress.js';
import { TransferMeter } from './progress.js';
import { goldenBatch, goldenFolder, openGolden } from './testing.js';

type Entry = TensorEntry & { readonly data: Uint8Array };

const golden = await openGolden('tied');
const batch = await goldenBatch(golden, 'plain');

async function entriesOf(variant: string): Promise<Entry[]> {
  const file = await openSafetensors(fileSource(`${goldenFolder(variant)}/model.safetensors`));
  return Promise.all(
    [...file.tensors.values()].map(async ({ name, dtype, shape }) => ({
      name,
      dtype,
      shape,
      data: await file.read(name),
    })),
  );
}

const text = (value: unknown): ByteSource => bytesSource(new TextEncoder().encode(JSON.stringify(value)));
const config = async (variant: string): Promise<ByteSource> =>
  bytesSource(await readFile(`${goldenFolder(variant)}/config.json`));

async function sharded(variant: string, shards: readonly (readonly Entry[])[]): Promise<ModelFiles> {
  const name = (at: number): string =>
    `model-${String(at + 1).padStart(5, '0')}-of-${String(shards.length).padStart(5, '0')}.safetensors`;
  const weight_map = Object.fromEntries(
    shards.flatMap((entries, at) => entries.map((entry) => [entry.name, name(at)])),
  );
  const files = Object.fromEntries(
    shards.map((entries, at) => [name(at), bytesSource(serializeSafetensors(entries), name(at))]),
  );
  return filesBy(
    {
      'config.json': await config(variant),
      'model.safetensors.index.json': text({ metadata: {}, weight_map }),
      ...files,
    },
    variant,
  );
}

async function lossOf(files: ModelFiles): Promise<number> {
  const [[loss = NaN] = []] = await evaluateReference([(await loadCausalModel(files)).loss(batch)]);
  return loss;
}

test.each([
  ['tied', 1e-5],
  ['tied-f16', 2e-3],
  ['tied-bf16', 2e-2],
] as const)('%s: one file and five shards are the same model, near the one in f32', async (variant, tolerance) => {
  const entries = await entriesOf(variant);
  const single = await lossOf(
    filesBy(
      { 'config.json': await config(variant), 'model.safetensors': bytesSource(serializeSafetensors(entries)) },
      variant,
    ),
  );
  const shards = [0, 1, 2, 3, 4].map((part) => entries.filter((_, at) => at % 5 === part));
  expect(await lossOf(await sharded(variant, shards))).toBe(single);
  const { loss, tokens } = golden.answers.base.plain;
  expect(Math.abs(single / tokens - loss)).toBeLessThan(tolerance);
});

test('shards of different dtypes', async () => {
  const [f16, bf16] = await Promise.all([entriesOf('tied-f16'), entriesOf('tied-bf16')]);
  const mixed = await lossOf(await sharded('tied', [f16.slice(0, 9), bf16.slice(9)]));
  expect(Math.abs(mixed / golden.answers.base.plain.tokens - golden.answers.base.plain.loss)).toBeLessThan(2e-2);
});

test('values that f16 and bf16 both hold load alike', async () => {
  const entries = await entriesOf('tied');
  // Three bits behind the point, no exponent that f16 lacks.
  const coarse = entries.map((entry) =>
    Float32Array.from(
      new Float32Array(new Uint8Array(entry.data).buffer),
      (value) => Math.round(value * 64) / 64 / (Math.abs(value) >= 4 ? 16 : 1),
    ),
  );
  const as = (dtype: 'F32' | 'F16' | 'BF16'): Entry[] =>
    entries.map((entry, at) => {
      const values = coarse[at] ?? new Float32Array();
      const { buffer } = dtype === 'F32' ? values : fromNumbers(values, dtype === 'F16' ? 'f16' : 'bf16');
      return { ...entry, dtype, data: new Uint8Array(buffer) };
    });
  const losses = await Promise.all(
    (['F32', 'F16', 'BF16'] as const).map(async (dtype) =>
      lossOf(await sharded('tied', [as(dtype).slice(0, 4), as(dtype).slice(4)])),
    ),
  );
  expect(losses[1]).toBe(losses[0]);
  expect(losses[2]).toBe(losses[0]);
});

test('loading tells bytes, rate and time left', async () => {
  const entries = await entriesOf('tied-f16');
  let now = 0;
  let meter: TransferMeter | undefined;
  const told: TransferProgress[] = [];
  let done = 0;
  await loadCausalModel(await sharded('tied-f16', [entries.slice(0, 5), entries.slice(5)]), {
    onProgress({ tensor, bytes, totalBytes }) {
      meter ??= new TransferMeter({ totalBytes, now: () => now });
      now += 100;
      told.push(meter.add(tensor, bytes - done));
      done = bytes;
    },
  });
  expect(told.length).toBeGreaterThanOrEqual(entries.length);
  expect(told.at(-1)).toMatchObject({ bytes: entries.reduce((sum, { data }) => sum + data.length, 0), secondsLeft: 0 });
  expect(told[5]?.bytesPerSecond).toBeGreaterThan(0);
});
