import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LowrankError } from '@lowrank/errors';
import { expect, test } from 'vitest';
import type { RunEvent } from '../index.js';
import { fineTune, loadModel } from '../index.js';
import { golden, runCli, scratch } from '../testing.js';

const folder = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');
const recipe = { r: 4, batchSize: 4, steps: 6, seed: 3 };

test('rows that stay in their file give the losses of rows in memory, held-out ones too', async () => {
  const runs = [];
  for (const dataMemory of [64, 0]) {
    const model = await loadModel(folder, { device: 'cpu' });
    const losses: number[] = [];
    const events: RunEvent[] = [];
    const run = await fineTune(model, {
      ...recipe,
      data,
      dataMemory,
      validation: 0.2,
      groupByLength: true,
      onStep: ({ loss }) => void losses.push(loss),
      onEvent: (event) => void (event.type === 'data' && events.push(event)),
    });
    runs.push({ losses, evaluation: run.evaluation, events });
    await model.dispose();
  }
  const [memory, file] = runs;
  expect(memory?.losses).toHaveLength(6);
  expect(file).toEqual(memory);
  expect(memory?.events).toMatchObject([{ part: 'train' }, { part: 'validation' }]);
});

test('the command: what is held out, what there is in the rows, and what is wrong with them', async () => {
  using place = scratch();
  const rows = readFileSync(data, 'utf8').trimEnd().split('\n').slice(0, 20);
  const path = join(place.path, 'rows.jsonl');
  writeFileSync(path, [...rows, rows[0], ''].join('\n'));
  const flags = ['--model', folder, '--data', path, '--device', 'cpu', '--validation', '0.3'];
  const argv = ['train', ...flags, '--output', join(place.path, 'adapter'), '--steps', '2', '--json'];
  const trained = await runCli(argv);
  expect(trained.stderr).toMatch(
    /rows\.jsonl: \d+ of 21 rows of prompt and completion; [\d,]+ tokens, \d+% learned; \d+ to /,
  );
  expect(trained.stderr).toContain('that says the same as one before');
  const adapter = ['--adapter', join(place.path, 'adapter')];
  const evaluated = await runCli(['eval', ...flags, ...adapter, '--json']);
  expect(evaluated.json<{ loss: number }>()[0]?.loss).toBeCloseTo(
    trained.json<{ eval_loss: number }>().at(-1)?.eval_loss ?? NaN,
    5,
  );
  const both = await runCli([...argv, '--overwrite', '--eval-data', path]);
  expect(both.stderr).toContain('--validation with --eval-data');
  const model = await loadModel(folder, { device: 'cpu' });
  await expect(fineTune(model, { ...recipe, data, evalData: data, validation: 0.5 })).rejects.toThrow(LowrankError);
  await model.dispose();
});
