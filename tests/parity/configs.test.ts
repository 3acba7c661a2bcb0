import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '@lowrank/cpu';
import type { WeightRequest } from '@lowrank/models';
import { createModel } from '@lowrank/models';
import type { Backend } from '@lowrank/tensor';
import { compile, mul, reshape, tensor } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';

interface Case {
  /** As text, with its numbers as Python writes them. */
  readonly config: string;
  readonly seed: number;
  readonly ids: readonly number[];
  /** At `positions`. */
  readonly logits: readonly (readonly number[])[];
  readonly loss: number;
}

/** Random configs, and transformers' logits and losses (parity/configs.py, which makes others with any seed). */
const path =
  process.env['LOWRANK_CONFIG_CASES'] ?? fileURLToPath(new URL('../../parity/golden/configs.json', import.meta.url));
const { positions, cases } = JSON.parse(readFileSync(path, 'utf8')) as { positions: number[]; cases: Case[] };

let backend: Backend;
beforeAll(async () => {
  backend = await createCpuBackend();
});
afterAll(() => backend.dispose());

test.each(cases.map((each, at) => [`${at} ${each.config}`, each] as const))(
  '%s',
  async (_, { config: text, seed, ids, logits, loss }) => {
    const config = JSON.parse(text) as Record<string, unknown>;
    const one = String(config['model_type']).startsWith('gemma') ? 0 : 1;
    const model = createModel(config, (request) => weightsOf(seed, request, one));
    const { length } = ids;
    const row = (of: (at: number) => number) =>
      tensor(
        Int32Array.from(ids, (__, at) => of(at)),
        [1, length],
      );
    const batch = {
      ids: row((at) => ids[at] ?? 0),
      labels: row((at) => ids[at + 1] ?? -100),
      positions: row((at) => at),
      segments: tensor(
        Int32Array.from({ length: 2 * length }, (__, at) => (at % 2) * length),
        [1, length, 2],
      ),
    };
    const compiled = compile(backend, () => ({
      logits: model.logits(reshape(model.hidden(batch.ids, batch), [length, model.shape.hiddenSize])),
      loss: mul(model.loss(batch), 1 / (length - 1)),
    }));
    const found = await compiled.run();
    const [all, [mean = NaN]] = [await found.logits, await found.loss];
    const size = model.shape.vocabularySize;
    const scale = Math.max(...logits.flat().map(Math.abs));
    const worst = Math.max(
      ...positions.flatMap((at, row) =>
        (logits[row] ?? []).map((value, id) => Math.abs(value - (all[at * size + id] ?? NaN)) / scale),
      ),
    );
    await compiled.dispose();
    model.dispose();
    expect({ worst, loss: Math.abs(mean / loss - 1) }).toEqual({
      worst: expect.toSatisfy((error: number) => error < 2e-5),
      loss: expect.toSatisfy((error: number) => error < 1e-5),
    });
  },
);

/** The numbers of `weightsOf` in parity/configs.py. */
function weightsOf(seed: number, { name, shape }: WeightRequest, one: number): Float32Array {
  let state = (seed + hashOf(name)) >>> 0;
  const noise = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
  const size = shape.reduce((product, each) => product * each, 1);
  const values = { from: 0, scale: 1.5 / Math.sqrt(Math.min(...shape)) };
  if (shape.length === 1) Object.assign(values, name.endsWith('bias') ? { scale: 0.2 } : { from: one, scale: 0.3 });
  return Float32Array.from({ length: size }, () => values.from + values.scale * noise());
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  return new TextEncoder().encode(text).reduce((value, byte) => Math.imul(value ^ byte, 0x01000193) >>> 0, 0x811c9dc5);
}
