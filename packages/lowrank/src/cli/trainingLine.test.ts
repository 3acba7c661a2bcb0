import { expect, test } from 'vitest';
import type { TrainingState } from './trainingLine.js';
import { trainingLine, wantsColour } from './trainingLine.js';

const state: TrainingState = {
  step: 60,
  steps: 240,
  loss: 1.23456,
  tokensPerSecond: 8123.4,
  memory: 1.234e9,
  secondsLeft: 184,
  evaluation: 1.30119,
};

test('the line has everything that there is', () => {
  expect(trainingLine(state, { colour: false, columns: 200 })).toBe(
    '━━━━━───────────────  60/240  loss 1.2346  8,123 tokens/s  1.23 GB  3 min 4 s left  evaluation 1.3012',
  );
  const begun = { ...state, step: 0, loss: undefined, tokensPerSecond: undefined, memory: 4e6 };
  expect(
    trainingLine({ ...begun, secondsLeft: undefined, evaluation: undefined }, { colour: false, columns: 200 }),
  ).toBe('────────────────────  0/240  4 MB');
});

test('a narrow terminal has fewer parts, never a broken line', () => {
  for (const columns of [20, 30, 48, 60, 80, 100]) {
    const line = trainingLine(state, { colour: false, columns });
    expect(line.length).toBeLessThan(columns);
    const coloured = trainingLine(state, { colour: true, columns });
    // eslint-disable-next-line no-control-regex -- what the terminal takes as colour
    expect(coloured.replaceAll(/\u001b\[\d+m/g, '')).toBe(line);
  }
  expect(trainingLine(state, { colour: true, columns: 200 })).toContain('\u001b[32m━━━━━\u001b[39m');
});

test('colour is for terminals that have it and users who want it', () => {
  expect(wantsColour({ TERM: 'xterm-256color' })).toBe(true);
  expect(wantsColour({ TERM: 'xterm-256color', NO_COLOR: '1' })).toBe(false);
  expect(wantsColour({ TERM: 'xterm', NO_COLOR: '' })).toBe(true);
  expect(wantsColour({ TERM: 'dumb' })).toBe(false);
});
