import type { Schema, SchemaShape } from './schema.js';

/** What a schema takes, in words: 'a whole number of at least 1'. */
export function describeSchema(schema: Schema): string {
  return describeShape(schema.shape);
}

export function describeShape(shape: SchemaShape): string {
  switch (shape.kind) {
    case 'number':
      return [shape.whole ? 'a whole number' : 'a number', describeBounds(shape)].filter(Boolean).join(' ');
    case 'boolean':
      return 'true or false';
    case 'string':
      return 'a text';
    case 'choice':
      return shape.names.join(', ');
    case 'list':
      return shape.item.kind === 'string' ? 'a list of names' : `a list, each item ${describeShape(shape.item)}`;
    case 'byName':
      return `an object by name, each value ${describeShape(shape.value)}`;
    case 'either':
      return shape.of.map(describeShape).join(', or ');
    case 'custom':
      return shape.expected;
  }
}

function describeBounds({ min, max, above, below }: Extract<SchemaShape, { kind: 'number' }>): string {
  return [
    ...(min === undefined ? [] : [`of at least ${min}`]),
    ...(above === undefined ? [] : [`above ${above}`]),
    ...(below === undefined ? [] : [`below ${below}`]),
    ...(max === undefined ? [] : [`of at most ${max}`]),
  ].join(' and ');
}
