import { readdir, readFile, rm } from 'node:fs/promises';
import type { EvaluatedEvent, StepEvent } from '@lowrank/trainer';
import { expect, test } from 'vitest';
import { TensorBoardFile } from './tensorBoardFile.js';
import { scratch } from './testing.js';

const step: StepEvent = {
  type: 'step',
  step: 3,
  loss: 1.5,
  gradNorm: 0.5,
  learningRate: 1e-4,
  tokens: 10,
  tokensPerSecond: 100,
  memoryBytes: 0,
  measures: { margin: 0.25 },
};
const evaluated: EvaluatedEvent = {
  type: 'evaluated',
  step: 3,
  loss: 2,
  tokens: 5,
  isBest: true,
  isLast: false,
  measures: {},
};

test('events become records with tags as transformers has them; a file appears with the first step', async () => {
  using folder = scratch();
  const file = TensorBoardFile.in(folder.path, () => expect.unreachable());
  await file.write({ type: 'started', steps: 4, from: 0, trainedParameters: 1 });
  expect(await readdir(folder.path)).toEqual([]);
  await file.write(step);
  await file.write(evaluated);
  await file.close();
  const [name = ''] = await readdir(folder.path);
  expect(name).toMatch(/^events\.out\.tfevents\.\d{10}\./);
  const text = await readFile(`${folder.path}/${name}`, 'latin1');
  for (const tag of ['loss', 'grad_norm', 'learning_rate', 'tokens_per_second', 'margin'])
    expect(text).toContain(`train/${tag}`);
  expect(text).toContain('eval/loss');
  expect(text.match(/brain\.Event:2/g)).toHaveLength(1);
  await file.discard();
  expect(await readdir(folder.path)).toEqual([]);
});

test('what cannot be written costs one warning', async () => {
  using folder = scratch();
  const warnings: string[] = [];
  const file = TensorBoardFile.in(`${folder.path}/gone`, (text) => void warnings.push(text));
  await rm(`${folder.path}/gone`, { recursive: true, force: true });
  await file.write(step);
  await file.write(step);
  await file.discard();
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(/TensorBoard's events cannot be written .*the run goes on/);
});
