import { expect, test } from 'vitest';
import { jsonSchema } from './jsonSchema.js';
import { tested } from './testing.js';

test('types, bounds, defaults and sentences of a table', () => {
  expect(jsonSchema([tested], 'A run')).toMatchObject({
    title: 'A run',
    type: 'object',
    additionalProperties: false,
    properties: {
      rank: { type: 'integer', minimum: 1, default: 8, description: 'the rank' },
      alpha: { type: 'number', exclusiveMinimum: 0 },
      names: { type: 'array', items: { type: 'string' } },
      ranks: { type: 'object', additionalProperties: { type: 'integer', minimum: 1 } },
      mode: { enum: ['one', 'two'] },
      speed: { type: 'number', minimum: 0, exclusiveMaximum: 1 },
      shuffle: { type: 'boolean', default: true },
    },
  });
});

test('a name of two tables takes what either does', () => {
  const { mode } = tested.settings;
  const other = { ...tested, settings: { mode: { ...mode, help: 'otherwise' } } };
  expect(jsonSchema([tested, other], '')).toMatchObject({
    properties: { mode: { anyOf: [{ description: 'how' }, { description: 'otherwise' }] } },
  });
});
