import { LowrankError, shown } from '@lowrank/errors';

/** No model has sizes or positions beyond these: a config that says so is damaged or hostile. */
const largestSize = 2 ** 31;
const largestDepth = 10_000;

/** A config.json, read key by key: checks what a model needs, and refuses by name what Lowrank cannot do. */
export class ConfigReader {
  constructor(
    private readonly json: Readonly<Record<string, unknown>>,
    /** For errors. */
    readonly name: string,
    /** Tensors that the weights hold, where they are known: each layer needs one at least. */
    private readonly tensors?: number,
  ) {}

  get modelType(): string {
    return this.string('model_type');
  }

  get isEmpty(): boolean {
    return Object.keys(this.json).length === 0;
  }

  /** With the keys of another object where this one lacks them. */
  over(others: unknown): ConfigReader {
    return new ConfigReader({ ...(others as object), ...this.json }, this.name, this.tensors);
  }

  has(key: string): boolean {
    return this.json[key] !== undefined && this.json[key] !== null;
  }

  integer(key: string, fallback?: number, largest = largestSize): number {
    const value = this.json[key] ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value <= 0)
      return this.fail(key, 'a whole number above 0', value);
    return value <= largest ? value : this.fail(key, `at most ${largest}`, value);
  }

  /** A number of layers: bounded before anything is built, since a few bytes of a config can ask for any number. */
  layers(key: string, fallback?: number): number {
    const layers = this.integer(key, fallback, largestDepth);
    return this.tensors === undefined || layers <= this.tensors
      ? layers
      : this.fail(key, `at most the ${this.tensors} tensors of the weights`, layers);
  }

  /** Undefined where the config says null, or leaves the key out and there is no fallback. */
  optionalNumber(key: string, fallback?: number): number | undefined {
    const value = this.json[key] === undefined ? fallback : this.json[key];
    return value === undefined || value === null ? undefined : this.number(key, fallback);
  }

  optionalInteger(key: string, fallback?: number): number | undefined {
    return this.optionalNumber(key, fallback) === undefined ? undefined : this.integer(key, fallback);
  }

  numbers(key: string): number[] {
    const value = this.json[key];
    return Array.isArray(value) && value.every((each) => typeof each === 'number')
      ? value
      : this.fail(key, 'a list of numbers', value);
  }

  strings(key: string): string[] {
    const value = this.json[key];
    return Array.isArray(value) && value.every((each) => typeof each === 'string')
      ? value
      : this.fail(key, 'a list of strings', value);
  }

  number(key: string, fallback?: number): number {
    const value = this.json[key] ?? fallback;
    return typeof value === 'number' && Number.isFinite(value) ? value : this.fail(key, 'a number', value);
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.json[key] ?? fallback;
    return typeof value === 'boolean' ? value : this.fail(key, 'true or false', value);
  }

  string(key: string, fallback?: string): string {
    const value = this.json[key] ?? fallback;
    return typeof value === 'string' ? value : this.fail(key, 'a string', value);
  }

  /** One id or a list of ids; empty when null, and `fallback` when absent. */
  ids(key: string, fallback: number | readonly number[] = []): number[] {
    const value = (this.json[key] === undefined ? fallback : this.json[key]) ?? [];
    const ids: unknown[] = Array.isArray(value) ? value : [value];
    return ids.map((id) => (typeof id === 'number' && Number.isInteger(id) ? id : this.fail(key, 'token ids', value)));
  }

  object(key: string): ConfigReader | undefined {
    const value = this.json[key] ?? undefined;
    if (value === undefined) return undefined;
    return typeof value === 'object' && !Array.isArray(value)
      ? new ConfigReader(value as Record<string, unknown>, `${key} in ${this.name}`, this.tensors)
      : this.fail(key, 'an object', value);
  }

  /** The value, where it is one that this model's code has; else refuses the feature by name. */
  oneOf<T extends string>(key: string, known: readonly T[], fallback: T): T {
    const value = this.string(key, fallback);
    return known.find((each) => each === value) ?? this.refuse(key, known.map((each) => `"${each}"`).join(' or '));
  }

  /** The value unchecked; undefined for null. */
  raw(key: string): unknown {
    return this.json[key] ?? undefined;
  }

  /**
   * Refuses a key that asks for something, be it a number other than 0 or true, which this model's code does not have.
   */
  requireOff(...keys: readonly string[]): void {
    for (const key of keys)
      if (this.has(key) && this.json[key] !== 0 && this.json[key] !== false) this.refuse(key, 'none');
  }

  /** Refuses a feature that this model's code does not have. */
  refuse(key: string, expected: string): never {
    return this.fail(key, expected, this.json[key], 'Lowrank does not support this feature of the model yet.');
  }

  fail(key: string, expected: string, got: unknown, remedy?: string): never {
    throw new LowrankError({
      code: 'models.config',
      what: `${key} in ${this.name}`,
      expected,
      got: shown(got),
      remedy,
    });
  }
}
