import { expect, test } from 'vitest';
import type { Labels } from './labels.js';
import { labelsOfTrained } from './labels.js';

const single: Labels = { names: ['LABEL_0', 'LABEL_1'], problem: 'single_label_classification' };

test('columns without names take those of the rows, as far as there are as many', () => {
  const ofRows: Labels = { ...single, names: ['bad', 'good'] };
  expect(labelsOfTrained(single, ofRows).names).toEqual(['bad', 'good']);
  expect(labelsOfTrained({ ...single, names: ['no', 'yes'] }, ofRows).names).toEqual(['no', 'yes']);
  expect(labelsOfTrained(single, { ...single, names: ['a', 'b', 'c'] })).toEqual(single);
});

test('rows do not change what a model has been trained for, where that is known', () => {
  const numbers: Labels = { names: ['LABEL_0'], problem: 'regression' };
  // Numbers that happen to be 0 everywhere.
  expect(labelsOfTrained(numbers, { ...single, names: ['LABEL_0'] })).toEqual(numbers);
  expect(labelsOfTrained(single, numbers)).toEqual(single);
  expect(labelsOfTrained({ ...single, isGuess: true }, numbers).problem).toBe('regression');
});
