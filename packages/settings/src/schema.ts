/** What a schema takes: plain data, from which errors, flags and JSON Schema are made. */
export type SchemaShape =
  | ({ readonly kind: 'number'; readonly whole: boolean } & NumberBounds)
  | { readonly kind: 'boolean' }
  | { readonly kind: 'string' }
  | { readonly kind: 'choice'; readonly names: readonly string[] }
  | { readonly kind: 'list'; readonly item: SchemaShape }
  | { readonly kind: 'byName'; readonly value: SchemaShape }
  | { readonly kind: 'either'; readonly of: readonly SchemaShape[] }
  | { readonly kind: 'custom'; readonly test: (value: unknown) => boolean; readonly expected: string };

/** What values a setting takes, read by `parseOptions`, the command line and JSON Schema alike. */
export interface Schema<Value = unknown> {
  readonly shape: SchemaShape;
  /** For the compiler alone. */
  readonly output?: Value;
}

/** Bounds of a number, each of which may be left out. */
/** Bounds of a number, each where it is given. */
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
  return { shape: { kind: 'number', whole: false, ...bounds } };
}

/** A whole number within bounds. */
export function wholeNumber(bounds: NumberBounds = {}): Schema<number> {
  return { shape: { kind: 'number', whole: true, ...bounds } };
}

/** A switch: on or off. */
export function toggle(): Schema<boolean> {
  return { shape: { kind: 'boolean' } };
}

/** Any text but an empty one. */
export function text(): Schema<string> {
  return { shape: { kind: 'string' } };
}

/** One of a few words. */
export function choice<const Name extends string>(names: readonly Name[]): Schema<Name> {
  return { shape: { kind: 'choice', names } };
}

/** A list in which every item follows one schema. */
export function list<Item>({ shape: item }: Schema<Item>): Schema<readonly Item[]> {
  return { shape: { kind: 'list', item } };
}

/** Values by name. */
export function byName<Value>({ shape: value }: Schema<Value>): Schema<Readonly<Record<string, Value>>> {
  return { shape: { kind: 'byName', value } };
}

/** What any one of these schemas takes. */
export function either<Values extends readonly unknown[]>(
  ...schemas: { readonly [At in keyof Values]: Schema<Values[At]> }
): Schema<Values[number]> {
  return { shape: { kind: 'either', of: schemas.map(({ shape }) => shape) } };
}

/**
 * What a function recognizes.
 *
 * @param expected for errors: 'a name of letters'
 */
export function accepted<Value>(test: (value: unknown) => value is Value, expected: string): Schema<Value> {
  return { shape: { kind: 'custom', test, expected } };
}

/** Where a value is not what a shape takes. */
export interface Misfit {
  /** From the value to the part that is wrong. */
  readonly path: readonly string[];
  /** What that part should be, and what it is. */
  readonly shape: SchemaShape;
  readonly value: unknown;
  /** It is of the right type, and out of bounds. */
  readonly bounds: boolean;
}

/** The first part of a value that a shape does not take; undefined where it takes all. */
export function misfitOf(shape: SchemaShape, value: unknown): Misfit | undefined {
  switch (shape.kind) {
    case 'number':
      if (typeof value !== 'number' || Number.isNaN(value)) return misfit(shape, value);
      return isWithin(shape, value) ? undefined : misfit(shape, value, true);
    case 'boolean':
      return typeof value === 'boolean' ? undefined : misfit(shape, value);
    case 'string':
      if (typeof value !== 'string') return misfit(shape, value);
      return value === '' ? misfit(shape, value, true) : undefined;
    case 'choice':
      return shape.names.includes(value as string) ? undefined : misfit(shape, value);
    case 'list':
      return Array.isArray(value) ? misfitIn(shape.item, value) : misfit(shape, value);
    case 'byName':
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return misfit(shape, value);
      return misfitIn(shape.value, value);
    case 'either': {
      const found = shape.of.map((each) => misfitOf(each, value));
      // None of them is the one that was meant.
      return found.includes(undefined)
        ? undefined
        : misfit(
            shape,
            value,
            found.some((each) => each?.bounds),
          );
    }
    case 'custom':
      return shape.test(value) ? undefined : misfit(shape, value);
  }
}

function misfit(shape: SchemaShape, value: unknown, bounds = false): Misfit {
  return { path: [], shape, value, bounds };
}

function misfitIn(shape: SchemaShape, values: object): Misfit | undefined {
  for (const [key, value] of Object.entries(values)) {
    const found = misfitOf(shape, value);
    if (found !== undefined) return { ...found, path: [key, ...found.path] };
  }
  return undefined;
}

function isWithin(
  {
    whole,
    min = -Infinity,
    max = Infinity,
    above = -Infinity,
    below = Infinity,
  }: { readonly whole: boolean } & NumberBounds,
  value: number,
): boolean {
  const isNumber = whole ? Number.isSafeInteger(value) : Number.isFinite(value);
  return isNumber && value >= min && value <= max && value > above && value < below;
}
