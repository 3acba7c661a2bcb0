import { expect, test } from 'vitest';
import type { Labels } from './labels.js';
import { columnOf, labelsOfTrained } from './labels.js';

const single: Labels = { names: ['LABEL_0', 'LABEL_1'], problem: 'single_label_classification' };

test('columns without names take those of the rows, where there are as many', () => {
  const ofRows: Labels = { ...single, names: ['bad', 'good'] };
  expect(labelsOfTrained(single, ofRows).names).toEqual(['bad', 'good']);
  expect(labelsOfTrained({ ...single, names: ['no', 'yes'] }, ofRows).names).toEqual(['no', 'yes']);
  expect(labelsOfTrained(single, { ...single, names: ['a', 'b', 'c'] })).toEqual(single);
  expect(labelsOfTrained(single, { ...single, names: ['bad'] })).toEqual(single);
});

test('rows do not change what a model has been trained for, where that is known', () => {
  const numbers: Labels = { names: ['LABEL_0'], problem: 'regression' };
  // Numbers that happen to be 0 everywhere.
  expect(labelsOfTrained(numbers, { ...single, names: ['LABEL_0'] })).toEqual(numbers);
  expect(labelsOfTrained(single, numbers)).toEqual(single);
  expect(labelsOfTrained({ ...single, isGuess: true }, numbers).problem).toBe('regression');
});

test('numbers name no columns: stars of 1 to 5 are the places that they were trained as', () => {
  const trained: Labels = { ...single, names: ['LABEL_0', 'LABEL_1', 'LABEL_2'] };
  const { names } = labelsOfTrained(trained, { ...single, names: ['0', '1', '2'] });
  expect(names).toEqual(trained.names);
  // Cells of a CSV file, numbers of JSON, and names.
  expect(['1', 1, 'LABEL_1', '01', 3, '3', 1.5, -1].map((label) => columnOf(label, names))).toEqual([
    1, 1, 1, -1, -1, -1, -1, -1,
  ]);
});

test('a number is the name that it is written as; a place only where no name is a number', () => {
  const stars = ['1', '2', '3', '4', '5'];
  expect([1, '1', 5, 0, '0'].map((label) => columnOf(label, stars))).toEqual([0, 0, 4, -1, -1]);
  expect([1, 0, 'pos'].map((label) => columnOf(label, ['1', 'pos']))).toEqual([0, -1, 1]);
  expect([1, '1', 'pos'].map((label) => columnOf(label, ['neg', 'pos']))).toEqual([1, -1, 1]);
});
