import * as v from 'valibot';

/** What values a setting takes: a schema of valibot, read by `parseOptions`, the command line and JSON Schema alike. */
export type Schema<Value = unknown> = v.GenericSchema<unknown, Value>;

/** Bounds of a number, each of which may be left out. */
export interface NumberBounds {
  readonly min?: number;
  readonly max?: number;
  /** Exclusive lower bound. */
  readonly above?: number;
  /** Exclusive upper bound. */
  readonly below?: number;
}

/** A finite number within bounds. */
export function number(bounds: NumberBounds = {}): Schema<number> {
  return bounded(v.pipe(v.number(), v.finite()), bounds);
}

/** A whole number within bounds. */
export function wholeNumber(bounds: NumberBounds = {}): Schema<number> {
  return bounded(v.pipe(v.number(), v.safeInteger()), bounds);
}

/** A switch: on or off. */
export function toggle(): Schema<boolean> {
  return v.boolean();
}

/** Any text but an empty one. */
export function text(): Schema<string> {
  return v.pipe(v.string(), v.nonEmpty());
}

/** One of a few words. */
export function choice<const Name extends string>(names: readonly Name[]): Schema<Name> {
  return v.picklist(names);
}

/** A list in which every item follows one schema. */
export function list<Item>(item: Schema<Item>): Schema<readonly Item[]> {
  return v.array(item);
}

/** Values by name. */
export function byName<Value>(value: Schema<Value>): Schema<Readonly<Record<string, Value>>> {
  return v.record(v.string(), value);
}

/** What any one of these schemas takes. */
export function either<Schemas extends readonly [Schema, Schema, ...Schema[]]>(
  ...schemas: Schemas
): Schema<v.InferOutput<Schemas[number]>> {
  return v.union(schemas);
}

/**
 * What a function recognizes.
 *
 * @param expected for errors: 'a name of letters'
 */
export function accepted<Value>(test: (value: unknown) => value is Value, expected: string): Schema<Value> {
  return v.custom<Value>(test, expected);
}

function bounded(base: v.GenericSchema<unknown, number>, { min, max, above, below }: NumberBounds): Schema<number> {
  // Spread into pipe, bounds that are not there would have to be there for the compiler: so one pipe within another.
  let schema = base;
  if (min !== undefined) schema = v.pipe(schema, v.minValue(min));
  if (above !== undefined) schema = v.pipe(schema, v.gtValue(above));
  if (below !== undefined) schema = v.pipe(schema, v.ltValue(below));
  if (max !== undefined) schema = v.pipe(schema, v.maxValue(max));
  return schema;
}
