import { expect, test } from 'vitest';
import { entitiesOf, entityScores } from './scores.js';

test('entities of IOB2 and IOBES are those of seqeval', () => {
  // seqeval.metrics.sequence_labeling.get_entities, whose last place is included.
  expect(entitiesOf(['B-PER', 'I-PER', 'O', 'B-LOC'])).toEqual([
    ['PER', 0, 2],
    ['LOC', 3, 4],
  ]);
  expect(entitiesOf(['B-A', 'B-A', 'I-B', 'E-B', 'I-B', 'S-C', 'S-C'])).toEqual([
    ['A', 0, 1],
    ['A', 1, 2],
    ['B', 2, 4],
    ['B', 4, 5],
    ['C', 5, 6],
    ['C', 6, 7],
  ]);
  expect(entitiesOf(['B-🍕', 'I-🍕', 'B', 'I', 'O'])).toEqual([
    ['🍕', 0, 2],
    ['_', 2, 4],
  ]);
});

test('a bare tag is a type: runs of one tag are an entity, and another tag is wrong', () => {
  expect(entitiesOf(['PERSON', 'PERSON', 'PLACE', 'O', 'ORG', 'EVENT', 'EVENT'])).toEqual([
    ['PERSON', 0, 2],
    ['PLACE', 2, 3],
    ['ORG', 4, 5],
    ['EVENT', 5, 7],
  ]);
  expect(entityScores([['PERSON', 'O']], [['PLACE', 'O']])).toEqual({ f1: 0, precision: 0, recall: 0, accuracy: 0.5 });
});
