import type { StepEvent } from '@lowrank/trainer';
import { expect, test } from 'vitest';
import { Speaker } from './io.js';
import type { Io } from './io.js';
import { startProgress, transferLine } from './progress.js';

function speakerOf(isTTY: boolean): { speaker: Speaker; written: string[] } {
  const written: string[] = [];
  const io: Io = {
    stdout: () => undefined,
    stderr: (text) => void written.push(text),
    isTTY,
    columns: 120,
    onInterrupt: () => () => undefined,
  };
  return { speaker: new Speaker(io, false), written };
}

const step = (at: number, loss: number): StepEvent => ({
  type: 'step',
  step: at,
  loss,
  gradNorm: 1,
  learningRate: 1e-3,
  tokens: 10,
  tokensPerSecond: 200,
  memoryBytes: 2e9,
  measures: {},
});

test('on a terminal a line is redrawn, with a smoothed loss, and what is said stands above it', () => {
  const { speaker, written } = speakerOf(true);
  const progress = startProgress(speaker, 4);
  progress.step(step(1, 3));
  progress.evaluated({ type: 'evaluated', step: 1, loss: 2.5, tokens: 9, isBest: true, isLast: false, measures: {} });
  progress.above(() => speaker.say('warning: mind the gap'));
  progress.step(step(2, 1));
  progress.step(step(3, 1));
  progress.step(step(4, 1));
  progress.stop();
  progress.stop();
  const text = written.join('');
  expect(text.split('\n')).toHaveLength(3);
  expect(text).toContain('\r\u001b[Kwarning: mind the gap\n');
  // eslint-disable-next-line no-control-regex -- what the terminal takes as colour and movement
  const lines = text.replaceAll(/\u001b\[\d*[mK]/g, '').split(/[\r\n]+/);
  // (0.9³·3 + 0.9²·1 + 0.9·1 + 1)/(0.9³ + 0.9² + 0.9 + 1)
  expect(lines.at(-2)).toMatch(
    /━{20} {2}4\/4 {2}loss 1\.4240 {2}200 tokens\/s {2}2\.00 GB {2}0 s left {2}evaluation 2\.5000$/,
  );
});

test('elsewhere there are plain lines: of the first step and the last, and of every evaluation', () => {
  const { speaker, written } = speakerOf(false);
  const progress = startProgress(speaker, 8, { from: 2 });
  for (const at of [3, 4, 5, 6, 7, 8]) progress.step(step(at, 1));
  progress.evaluated({ type: 'evaluated', step: 8, loss: 2.5, tokens: 9, isBest: true, isLast: false, measures: {} });
  progress.stop();
  expect(written).toHaveLength(3);
  expect(written[0]).toMatch(/^step 3\/8: loss 1\.0000, gradient norm 1\.00, 200 tokens\/s, \d+ s left\n$/);
  expect(written.slice(1)).toEqual([
    'step 8/8: loss 1.0000, gradient norm 1.00, 200 tokens/s\n',
    'step 8: evaluation loss 2.5000, the best yet\n',
  ]);
  expect(written.join('')).not.toContain('\u001b');
});

test('a rate that cannot be told is left out', () => {
  const progress = { stage: 'loading', item: 'w', bytes: 5e8, totalBytes: 1e9, secondsLeft: undefined } as const;
  expect(transferLine({ ...progress, bytesPerSecond: 0 })).toBe('loading w: 0.50 of 1.00 GB (50%)');
  expect(transferLine({ ...progress, bytesPerSecond: 8e7 })).toBe('loading w: 0.50 of 1.00 GB (50%), 80.0 MB/s');
});
