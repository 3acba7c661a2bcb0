import type { Schema } from './schema.js';

/** What a schema is made of, read from valibot's objects: one reading for errors, flags and JSON Schema. */
export type SchemaShape =
  | {
      readonly kind: 'number';
      readonly whole: boolean;
      readonly min?: number;
      readonly max?: number;
      readonly above?: number;
      readonly below?: number;
    }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'string' }
  | { readonly kind: 'choice'; readonly names: readonly string[] }
  | { readonly kind: 'list'; readonly item: SchemaShape }
  | { readonly kind: 'byName'; readonly value: SchemaShape }
  | { readonly kind: 'either'; readonly of: readonly SchemaShape[] }
  | { readonly kind: 'custom'; readonly expected: string };

/** The parts of valibot's schemas and checks that are read here. */
interface Part {
  readonly type: string;
  readonly pipe?: readonly Part[];
  readonly requirement?: unknown;
  readonly options?: readonly unknown[];
  readonly item?: Part;
  readonly value?: Part;
  readonly message?: unknown;
}

/** What a schema accepts, for help, flags and JSON schemas. */
export function shapeOf(schema: Schema): SchemaShape {
  return shapeOfPart(schema as unknown as Part);
}

function shapeOfPart(part: Part): SchemaShape {
  switch (part.type) {
    case 'number':
      return numberShape(part);
    case 'boolean':
      return { kind: 'boolean' };
    case 'string':
      return { kind: 'string' };
    case 'picklist':
      return { kind: 'choice', names: (part.options ?? []).map(String) };
    case 'array':
      return { kind: 'list', item: shapeOfPart(part.item ?? { type: 'unknown' }) };
    case 'record':
      return { kind: 'byName', value: shapeOfPart(part.value ?? { type: 'unknown' }) };
    case 'union':
      return { kind: 'either', of: (part.options ?? []).map((option) => shapeOfPart(option as Part)) };
    default:
      return { kind: 'custom', expected: String(part.message ?? part.type) };
  }
}

const boundNames = { min_value: 'min', max_value: 'max', gt_value: 'above', lt_value: 'below' } as const;

function numberShape(part: Part): SchemaShape {
  const checks = flat(part);
  const bounds = checks.flatMap(({ type, requirement }) =>
    type in boundNames ? [[boundNames[type as keyof typeof boundNames], requirement]] : [],
  );
  return {
    kind: 'number',
    whole: checks.some(({ type }) => type === 'safe_integer'),
    ...(Object.fromEntries(bounds) as object),
  };
}

/** A pipe within a pipe is one pipe. */
function flat({ pipe = [] }: Part): Part[] {
  return pipe.flatMap((part) => (part.pipe === undefined ? [part] : flat(part)));
}

/** What a schema takes, in words: 'a whole number of at least 1'. */
export function describeSchema(schema: Schema): string {
  return describeShape(shapeOf(schema));
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
