import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import type { EncodedRow } from '@lowrank/data';
import { encodeRow, readTokenizer } from '@lowrank/data';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunRecord } from '../runs/runRecord.js';
import { golden, readJson, scratch } from '../testing.js';
import { fineTuneFolder } from './fineTune.js';
import type { FineTuneFolderOptions } from './fineTuneOptions.js';
import { generateFolder } from './generate.js';
import { heldPrompts } from './runSamples.js';

let backend: Backend;
beforeAll(async () => void (backend = await createCpuBackend()));
afterAll(() => backend.dispose());

const model = join(golden, 'tied');

test.each<Partial<FineTuneFolderOptions>>([
  { method: 'prompt', virtualTokens: 2 },
  { method: 'prefix', virtualTokens: 2 },
  { method: 'bitfit' },
  { method: 'adapter' },
  { method: 'subspace', dimension: 20 },
  { method: 'lora', init: 'pissa', r: 2 },
  { method: 'lora', useDora: true, r: 2, modulesToSave: ['embed_tokens'] },
])('without the method the base writes what it always wrote: %o', async (method) => {
  using place = scratch();
  const output = join(place.path, 'run');
  const [data, evalData] = [join(golden, 'train/rows.jsonl'), join(golden, 'train/eval.jsonl')];
  const budget = { steps: 3, learningRate: 0.05, samples: 1, seed: 1 };
  await fineTuneFolder({ backend, model, data, evalData, output, ...budget, ...method });
  const { samples } = readJson<RunRecord>(join(output, 'run.json'));
  const [{ prompt, before } = { prompt: '', before: '' }] = samples;
  const base = await generateFolder({ backend, model, prompt, maxNewTokens: 64, stop: ['\n'] });
  expect(before?.replace(/…$/, '')).toBe(base.text);
});

test('prompts come from all over the rows, each once, and leave room for an answer', async () => {
  const tokenizer = await readTokenizer(model);
  const row = (prompt: string, completion: string): EncodedRow => encodeRow({ line: 1, prompt, completion }, tokenizer);
  const [text, long] = [encodeRow({ line: 1, text: 'a text' }, tokenizer), row('very '.repeat(30), 'x')];
  const rows = [text, row('one\n', 'a'), row('one\n', 'b'), long, row('two\n', 'c'), row('three\n', 'd')];
  const chosen = heldPrompts(rows, { count: 3, tokenizer, room: 20 });
  expect(chosen.map(({ prompt, wanted }) => [prompt, wanted])).toEqual([
    ['one\n', 'a'],
    ['two\n', 'c'],
    ['three\n', 'd'],
  ]);
  expect(heldPrompts([text, long], { count: 3, tokenizer, room: 20 })).toEqual([]);
});
