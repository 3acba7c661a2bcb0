import { LowrankError } from '@lowrank/errors';

/** A config.json, read key by key: what a model needs it checks, what it cannot do it refuses by name. */
export class ConfigReader {
  constructor(
    private readonly json: Readonly<Record<string, unknown>>,
    /** For errors. */
    readonly name: string,
  ) {}

  get modelType(): string {
    return this.string('model_type');
  }

  has(key: string): boolean {
    return this.json[key] !== undefined && this.json[key] !== null;
  }

  integer(key: string, fallback?: number): number {
    const value = this.json[key] ?? fallback;
    return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : this.fail(key, 'a whole number above 0', value);
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

  /** One id or a list of ids; empty when absent. */
  ids(key: string): number[] {
    const value = this.json[key] ?? [];
    const ids: unknown[] = Array.isArray(value) ? value : [value];
    return ids.map((id) => (typeof id === 'number' && Number.isInteger(id) ? id : this.fail(key, 'token ids', value)));
  }

  object(key: string): ConfigReader | undefined {
    const value = this.json[key] ?? undefined;
    if (value === undefined) return undefined;
    return typeof value === 'object' && !Array.isArray(value) ? new ConfigReader(value as Record<string, unknown>, `${key} in ${this.name}`) : this.fail(key, 'an object', value);
  }

  /** Refuses a feature that this model's code does not have. */
  refuse(key: string, expected: string): never {
    return this.fail(key, expected, this.json[key], 'Lowrank does not support this feature of the model yet.');
  }

  fail(key: string, expected: string, got: unknown, remedy?: string): never {
    throw new LowrankError({ code: 'models.config', what: `${key} in ${this.name}`, expected, got: got === undefined ? 'nothing' : JSON.stringify(got), remedy });
  }
}
