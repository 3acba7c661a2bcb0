/** Where the model comes from. Picked files cannot be kept in a link: their name alone is. */
export type ModelChoice =
  | { readonly kind: 'bundled' }
  | { readonly kind: 'hub'; readonly id: string }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'files'; readonly name: string };

export const deviceNames = ['auto', 'webgpu', 'cpu'] as const;
export const quantizations = ['none', 'nf4', 'int8'] as const;

/** What a person chooses, all of it plain data: kept across reloads, and carried by a link. */
export interface Settings {
  readonly model: ModelChoice;
  readonly device: (typeof deviceNames)[number];
  readonly quantization: (typeof quantizations)[number];
  readonly rank: number;
  readonly alpha: number;
  readonly learningRate: number;
  readonly steps: number;
  readonly batchSize: number;
  readonly maxLength: number;
  /** Share of the rows, in percent, whose loss is measured and that nothing is learned from. */
  readonly heldOut: number;
  /** Steps between two measurements of the held-out loss, each with a sample. */
  readonly evaluateEvery: number;
  readonly seed: number;
  readonly prompt: string;
  readonly newTokens: number;
  readonly temperature: number;
}

export const defaults: Settings = {
  model: { kind: 'bundled' },
  device: 'auto',
  quantization: 'none',
  rank: 16,
  alpha: 32,
  learningRate: 0.004,
  steps: 300,
  batchSize: 8,
  maxLength: 128,
  heldOut: 10,
  evaluateEvery: 30,
  seed: 0,
  prompt: '',
  newTokens: 48,
  temperature: 0,
};

/** The settings as plain data, free of the page's own objects. */
export function plainSettings(settings: Settings): Settings {
  return structuredClone({ ...settings, model: { ...settings.model } });
}

interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly whole: boolean;
}

/** Of the numbers that are typed in. */
export const bounds = {
  rank: { min: 1, max: 1024, whole: true },
  alpha: { min: 0.001, max: 4096, whole: false },
  learningRate: { min: 0, max: 1, whole: false },
  steps: { min: 1, max: 100_000, whole: true },
  batchSize: { min: 1, max: 512, whole: true },
  maxLength: { min: 8, max: 8192, whole: true },
  heldOut: { min: 0, max: 50, whole: false },
  evaluateEvery: { min: 1, max: 100_000, whole: true },
  seed: { min: 0, max: 4_294_967_295, whole: true },
  newTokens: { min: 1, max: 2048, whole: true },
  temperature: { min: 0, max: 4, whole: false },
} as const satisfies Partial<Record<keyof Settings, Bounds>>;

export type NumberName = keyof typeof bounds;

/** What is wrong with a number, as a sentence; undefined where nothing is. */
export function wrongNumber(name: NumberName, value: unknown): string | undefined {
  const { min, max, whole } = bounds[name];
  if (typeof value !== 'number' || !Number.isFinite(value)) return 'A number is missing here.';
  if (whole && !Number.isInteger(value)) return 'A whole number, please.';
  if (value < min || value > max) return `From ${min} to ${max}.`;
  return undefined;
}

/** Settings of unknown origin (a link, an older visit): what is not as it should be falls back to `base`. */
export function readSettings(given: unknown, base: Settings = defaults): Settings {
  if (typeof given !== 'object' || given === null) return base;
  const values = given as Readonly<Record<string, unknown>>;
  const numbers = Object.fromEntries(
    (Object.keys(bounds) as NumberName[]).flatMap((name) =>
      wrongNumber(name, values[name]) === undefined ? [[name, values[name]]] : [],
    ),
  );
  const oneOf = <Name extends string>(names: readonly Name[], value: unknown, otherwise: Name): Name =>
    names.find((name) => name === value) ?? otherwise;
  return {
    ...base,
    ...numbers,
    model: readModel(values['model']) ?? base.model,
    device: oneOf(deviceNames, values['device'], base.device),
    quantization: oneOf(quantizations, values['quantization'], base.quantization),
    prompt: typeof values['prompt'] === 'string' ? values['prompt'] : base.prompt,
  };
}

function readModel(given: unknown): ModelChoice | undefined {
  if (typeof given !== 'object' || given === null) return undefined;
  const { kind, id, url, name } = given as Readonly<Record<string, unknown>>;
  if (kind === 'bundled') return { kind };
  if (kind === 'hub' && typeof id === 'string') return { kind, id };
  if (kind === 'url' && typeof url === 'string') return { kind, url };
  if (kind === 'files' && typeof name === 'string') return { kind, name };
  return undefined;
}
