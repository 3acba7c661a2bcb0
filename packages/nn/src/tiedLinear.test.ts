import { tensor } from '@lowrank/tensor';
import { sourceOf } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { Embedding } from './embedding.js';
import { Parameter } from './parameter.js';
import { TiedLinear } from './tiedLinear.js';

const copyOf = (value: number): Parameter => new Parameter(tensor(new Float32Array(6).fill(value), [3, 2]));

test('its weight is the table, and no parameter of its own', () => {
  const table = new Embedding(copyOf(1).own).weight;
  const head = new TiedLinear(table);
  expect([[...head.namedParameters()], head.weight.tensor, head.outFeatures, head.inFeatures]).toEqual([
    [],
    table.own,
    3,
    2,
  ]);
  const moved = copyOf(2).own;
  table.tensor = moved;
  expect(head.weight.tensor).toBe(moved);
});

test('a copy in the place of one does not show in the other', () => {
  const table = copyOf(1);
  const head = new TiedLinear(table);
  const [ofTable, ofHead] = [copyOf(2), copyOf(3)];
  table.copies.set('a', ofTable);
  table.active = 'a';
  expect([table.tensor, head.weight.tensor]).toEqual([ofTable.own, table.own]);
  head.weight.copies.set('a', ofHead);
  head.weight.active = 'a';
  expect(head.weight.tensor).toBe(ofHead.own);
  // What the model itself has is reached all the same, and a copy that is gone is no copy.
  table.copies.delete('a');
  expect([table.tensor, head.weight.own]).toEqual([table.own, table.own]);
});

test('its copies are freed with it, and the table is not', () => {
  const table = copyOf(1);
  const [head, copy] = [new TiedLinear(table), copyOf(2)];
  head.weight.copies.set('a', copy);
  head.dispose();
  expect(() => sourceOf(copy.own).write(new Float32Array(6))).toThrow(/disposed/);
  sourceOf(table.own).write(new Float32Array(6));
});
