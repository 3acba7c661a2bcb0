import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import { serializeSafetensors } from '@lowrank/safetensors';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SafetensorsDtype } from '@lowrank/safetensors';
import { expectClose, golden, readLines, scratch } from '../testing.js';
import { denseWeights } from './denseWeights.js';
import { fineTuneFolder } from './fineTune.js';
import type { FineTuneFolderOptions } from './fineTuneOptions.js';
import { quantizeFolder } from './quantize.js';

let backend: Backend;
let place: ReturnType<typeof scratch>;
beforeAll(async () => {
  backend = await createCpuBackend();
  place = scratch();
});
afterAll(() => {
  backend.dispose();
  place[Symbol.dispose]();
});

const base = join(golden, 'untied');
const pairs = { data: join(golden, '../preferences/pairs.jsonl'), batchSize: 2 } as const;
const judged = { data: join(golden, '../preferences/labelled.jsonl'), batchSize: 4 } as const;

/** A model of the numbers that the codes stand for. */
async function dequantized(type: 'nf4' | 'fp4', doubleQuantization: boolean): Promise<string> {
  const [codes, dense] = [join(place.path, `${type}-codes`), join(place.path, `${type}-dense`)];
  await quantizeFolder({ model: base, output: codes, type, doubleQuantization });
  const { tensors, names, config, metadata } = await denseWeights(codes);
  const entries = tensors.map(async (tensor, at) => ({
    name: names[at] ?? '',
    dtype: tensor.dtype as SafetensorsDtype,
    shape: tensor.shape,
    data: await tensor.read(),
  }));
  cpSync(base, dense, { recursive: true });
  writeFileSync(join(dense, 'config.json'), JSON.stringify(config));
  writeFileSync(join(dense, 'model.safetensors'), serializeSafetensors(await Promise.all(entries), metadata));
  return dense;
}

interface Line {
  readonly loss: number;
  readonly grad_norm: number;
  readonly margin: number;
}

async function trained(name: string, part: Partial<FineTuneFolderOptions>): Promise<Line[]> {
  const output = join(place.path, name);
  const run = { backend, model: base, ...pairs, steps: 4, r: 4, learningRate: 1e-2, seed: 1, samples: 0 };
  await fineTuneFolder({ ...run, ...part, output });
  return readLines<Line>(join(output, 'metrics.jsonl'));
}

const cases: readonly (readonly [string, Partial<FineTuneFolderOptions>])[] = [
  ['dpo', { loss: 'dpo', beta: 0.5 }],
  ['orpo', { loss: 'orpo', beta: 0.5 }],
  ['kto', { ...judged, loss: 'kto', beta: 0.5 }],
  ['simpo', { loss: 'simpo' }],
];

test.each(['nf4', 'fp4'] as const)(
  'preference losses over %s codes are those over what they stand for',
  async (type) => {
    const doubleQuantization = true;
    const model = await dequantized(type, doubleQuantization);
    for (const [name, part] of cases) {
      const codes = await trained(`${type}-${name}-codes`, {
        ...part,
        quantization: type,
        doubleQuantization,
      });
      const dense = await trained(`${type}-${name}-dense`, { ...part, model });
      const plain = await trained(`${type}-${name}-plain`, part);
      const of = (key: keyof Line, lines: readonly Line[]): number[] => lines.map((line) => line[key]);
      expect(codes).toHaveLength(4);
      expectClose(of('loss', codes), of('loss', dense), 1e-5);
      // A difference of log probabilities, 0 at first.
      of('margin', codes).forEach((margin, at) =>
        expect(Math.abs(margin - (dense[at]?.margin ?? NaN))).toBeLessThan(1e-5),
      );
      expectClose(of('grad_norm', codes), of('grad_norm', dense), 1e-3);
      // The codes are another model than the one that they were made of.
      expect(Math.abs((codes[0]?.grad_norm ?? 0) - (plain[0]?.grad_norm ?? 0))).toBeGreaterThan(1e-5);
    }
  },
);
