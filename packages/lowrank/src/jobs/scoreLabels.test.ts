import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import { readTokenizer } from '@lowrank/data';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectClose, golden, runCli, scratch } from '../testing.js';
import type { EvaluateFolderResult } from './evaluate.js';
import { evaluateFolder } from './evaluate.js';
import { openModel } from './openModel.js';
import { scoreLabels } from './scoreLabels.js';

let backend: Backend;
beforeAll(async () => void (backend = await createCpuBackend()));
afterAll(() => backend.dispose());

const model = join(golden, 'tied');
const labels = ['a tailor.', 'the mayor.', 'a drummer in the band.'];
/** By prompt, what transformers' log_softmax of the logits sums up to: parity/labelLikelihoods.py. */
const transformers = [-70.1659, -78.5141, -101.2177, -74.5811, -74.9977, -101.3173, -74.6789, -79.5704, -104.6467];
const asked = ['name: fritz | town: rome\n', 'name: gus | town: turin\n', 'name: enid | town: lund\n'];

test('the likeliest answer of each prompt, by the sums that eval has as losses', async () => {
  using place = scratch();
  const sums: number[][] = [];
  for (const prompt of asked) {
    const row: number[] = [];
    for (const completion of labels) {
      const data = join(place.path, 'row.jsonl');
      writeFileSync(data, JSON.stringify({ prompt, completion }));
      const { loss, tokens } = await evaluateFolder({ backend, model, data });
      row.push(-loss * tokens);
    }
    sums.push(row);
  }
  const best = sums.map((row) => labels[row.indexOf(Math.max(...row))] ?? '');
  // The first and the second prompt have what the model finds likeliest, the third another answer.
  const wanted = best.map((label, at) => (at < 2 ? label : (labels.find((other) => other !== label) ?? '')));
  const prompts = asked.map((prompt, at) => ({ prompt, right: new Set([wanted[at] ?? '']) }));
  const tokenizer = await readTokenizer(model);
  const open = await openModel(model);
  const scores = await scoreLabels(open, { labels, prompts }, { backend, tokenizer });
  expectClose(scores?.logLikelihoods.flat() ?? [], sums.flat(), 1e-4);
  expectClose(scores?.logLikelihoods.flat() ?? [], transformers, 1e-4);
  expect(scores).toMatchObject({ accuracy: 2 / 3, answers: best, tooLong: 0 });

  const long = { prompt: 'long '.repeat(open.contextLength), right: new Set(labels) };
  const some = await scoreLabels(open, { labels, prompts: [...prompts.slice(0, 1), long] }, { backend, tokenizer });
  expect(some).toMatchObject({ accuracy: 0.5, answers: [best[0], undefined], tooLong: 1 });

  const data = join(place.path, 'rows.jsonl');
  const rows = asked.map((prompt, at) => JSON.stringify({ prompt, completion: wanted[at] }));
  writeFileSync(data, rows.join('\n'));
  const argv = ['eval', '--model', model, '--data', data, '--metric', 'label-accuracy,exact-match', '--device', 'cpu'];
  const ran = await runCli([...argv, '--labels', labels.join(','), '--json']);
  expect(ran.json<EvaluateFolderResult>()[0]?.scores['label-accuracy']).toBe(2 / 3);
  const told = await runCli([...argv, '--labels', labels.join(','), '--max-new-tokens', '1']);
  expect(told.stdout).toMatch(/; label accuracy % 66\.7, exact match % [\d.]+ over 3 prompts/);
  const unasked = await runCli([...argv.slice(0, 5), '--labels', 'yes,no', '--loss', 'dpo', '--device', 'cpu']);
  expect(unasked).toMatchObject({ code: 2, stderr: expect.stringContaining('--metric label-accuracy') as string });
  const refused = await runCli([...argv, '--labels', 'yes,no']);
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('one of the labels yes, no') as string });
});
