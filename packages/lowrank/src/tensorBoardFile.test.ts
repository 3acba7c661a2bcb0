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

test('a run that goes on takes back the steps after its checkpoint, and not that of an evaluation again', async () => {
  using folder = scratch();
  const file = TensorBoardFile.in(folder.path, () => expect.unreachable());
  await file.write({ type: 'started', steps: 8, from: 8, trainedParameters: 1 });
  await file.write({ ...evaluated, step: 8 });
  await file.close();
  expect(stepsOf(await readFile(file.path))).toEqual([0, 9, 8]);
});

/** Of each record: behind a length (8 bytes), a checksum (4) and the time (9) a key and the step (< 128), if not 0. */
function stepsOf(file: Buffer): number[] {
  const steps: number[] = [];
  for (let at = 0; at < file.length; at += Number(file.readBigUInt64LE(at)) + 16) {
    const step = file[at + 21] === 0x10 ? file[at + 22] : 0;
    steps.push(step ?? NaN);
  }
  return steps;
}

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
