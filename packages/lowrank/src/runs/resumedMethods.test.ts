import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fineTuneFolder } from '../jobs/fineTune.js';
import type { FineTuneEvent, FineTuneFolderOptions } from '../jobs/fineTuneOptions.js';
import { golden, scratch } from '../testing.js';

let backend: Backend;
beforeAll(async () => void (backend = await createCpuBackend()));
afterAll(() => backend.dispose());

const base = {
  model: join(golden, 'tied'),
  data: join(golden, 'train/rows.jsonl'),
  steps: 4,
  batchSize: 4,
  learningRate: 1e-2,
  seed: 3,
} as const;

const pairs = { data: join(golden, '../preferences/pairs.jsonl'), batchSize: 2 } as const;
const judged = { data: join(golden, '../preferences/labelled.jsonl'), batchSize: 4 } as const;

type Part = Partial<FineTuneFolderOptions>;

/** Every method, and every beginning of LoRA that is more than random numbers. */
const cases: readonly (readonly [string, Part])[] = [
  ['full fine-tuning', { method: 'full' }],
  ['full fine-tuning with Muon', { method: 'full', optimizer: 'muon' }],
  ['BitFit', { method: 'bitfit' }],
  ['prompt tuning', { method: 'prompt', virtualTokens: 3, virtualInit: 'vocab' }],
  ['prefix tuning', { method: 'prefix', virtualTokens: 3 }],
  ['adapters', { method: 'adapter' }],
  ['IA³', { method: 'ia3' }],
  ['a random subspace', { method: 'subspace', dimension: 50, projection: 'fastfood' }],
  ['DoRA with EVA', { r: 2, useDora: true, init: 'eva', batchSize: 8 }],
  ['PiSSA', { r: 2, init: 'pissa' }],
  ['OLoRA', { r: 2, init: 'olora' }],
  ['MiCA', { r: 2, init: 'mica' }],
  ['LoftQ over codes', { r: 2, init: 'loftq', quantization: 'nf4', doubleQuantization: true }],
  ['DPO from a LoftQ beginning', { ...pairs, loss: 'dpo', beta: 0.3, r: 2, init: 'loftq', quantization: 'nf4' }],
  ['KTO from PiSSA', { ...pairs, loss: 'kto', batchSize: 4, r: 2, init: 'pissa' }],
  ['ORPO', { ...pairs, loss: 'orpo', r: 2, dropout: 0.1 }],
  [
    'modules and token rows',
    { r: 2, modulesToSave: ['norm'], trainableTokens: [5, 7], loraPlusRatio: 4, optimizer: 'lion' },
  ],
];

test.each(cases)('%s goes on as if nothing had happened', async (_, part) => {
  using place = scratch();
  const [whole, output] = [join(place.path, 'whole'), join(place.path, 'parted')];
  const options = { ...base, ...part, backend };
  await fineTuneFolder({ ...options, output: whole, saveEvery: 2 });
  const controller = new AbortController();
  const stopped = await fineTuneFolder({
    ...options,
    output,
    saveEvery: 2,
    signal: controller.signal,
    onEvent: (event) => {
      if (event.type === 'checkpoint') controller.abort();
    },
  });
  expect(stopped).toMatchObject({ steps: 2, stopped_by: 'signal' });
  const rest = await fineTuneFolder({ ...options, output });
  expect(rest).toMatchObject({ steps: 4, resumed_from: 2 });
  const file = part.method === 'full' ? 'model.safetensors' : 'adapter_model.safetensors';
  expect(readFileSync(join(output, file)).equals(readFileSync(join(whole, file)))).toBe(true);
  const config = part.method === 'full' ? 'config.json' : 'adapter_config.json';
  expect(readFileSync(join(output, config), 'utf8')).toBe(readFileSync(join(whole, config), 'utf8'));
});

test.each<readonly [string, Part]>([
  ['DPO', { ...pairs, loss: 'dpo', beta: 0.3, r: 2 }],
  ['KTO', { ...judged, loss: 'kto', r: 2 }],
])('%s: 2 steps and 2 more are 4, though a run of 2 sees fewer rows to compare with', async (_, part) => {
  using place = scratch();
  const [whole, output] = [join(place.path, 'whole'), join(place.path, 'parted')];
  const options = { ...base, ...part, backend, schedule: 'constant' } as const;
  const compared: number[] = [];
  const onEvent = (event: FineTuneEvent): void => {
    if (event.type === 'reference') compared.push(event.documents);
  };
  await fineTuneFolder({ ...options, output: whole, onEvent });
  await fineTuneFolder({ ...options, output, steps: 2, saveEvery: 2, onEvent });
  const rest = await fineTuneFolder({ ...options, output, steps: 4, resume: true, onEvent });
  expect(rest).toMatchObject({ steps: 4, resumed_from: 2 });
  expect(compared[1]).toBeLessThan(compared[0] ?? 0);
  expect(compared[2]).toBe(compared[0]);
  const [got, want] = [output, whole].map((folder) => readFileSync(join(folder, 'adapter_model.safetensors')));
  expect(want?.equals(got ?? Buffer.of())).toBe(true);
});
