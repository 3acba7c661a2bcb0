/** Facts about an init, without its computation. */
interface InitFacts {
  /** PEFT's files may name it. For other inits they say `true`, since loading has nothing to do for them. */
  readonly inFiles?: true;
  /** A and B begin as a part of W, which the variant subtracts again: their initial product is not learned. */
  readonly partOfW?: true;
  /** They begin from what no layer knows by itself: what quantization lost, or the data. */
  readonly outside?: true;
  /** It goes with plain LoRA alone. */
  readonly plain?: true;
}

/**
 * How the A and B of a new adapter begin: PEFT's `true` (Kaiming-uniform A, zero B), 'gaussian' (A normal with standard
 * deviation 1/r, zero B), 'orthogonal' (both random, BA = 0), 'olora' and 'pissa' (a part of W), 'loftq' (from what a
 * layer's quantization lost; patch's addAdapter), 'eva' (from what the layer's inputs vary in; the same), or 'mica'
 * (from the directions that W has least of; B is frozen). Those that a layer makes by itself are objects under inits/,
 * each in a file of its name.
 */
const declared = {
  kaiming: {},
  gaussian: { inFiles: true },
  orthogonal: { inFiles: true },
  olora: { inFiles: true, partOfW: true, plain: true },
  pissa: { inFiles: true, partOfW: true, plain: true },
  loftq: { outside: true, plain: true },
  eva: { inFiles: true, outside: true },
  mica: { inFiles: true, plain: true },
} as const satisfies Readonly<Record<string, InitFacts>>;

type InitName = keyof typeof declared;

/** `pissa_niter_N` decomposes W in N randomized steps. */
export type LoraInit = InitName | `pissa_niter_${number}`;

/** The inits by name; `pissa_niter_N` is one more for every N. */
export const loraInits = Object.keys(declared) as readonly InitName[];

/** Whether a value names an init, `pissa_niter_N` included. */
export function isLoraInit(name: unknown): name is LoraInit {
  return typeof name === 'string' && (Object.hasOwn(declared, name) || /^pissa_niter_[1-9]\d*$/.test(name));
}

function factsOf(init: LoraInit): InitFacts {
  return init.startsWith('pissa_niter_') ? declared.pissa : declared[init as InitName];
}

/** Whether A and B begin as a part of W: their initial product is not learned. */
export function beginsInBase(init: LoraInit): boolean {
  return factsOf(init).partOfW === true;
}

/**
 * Whether A and B begin from what no layer knows by itself: what quantization lost, or the data. patch's `addAdapter`
 * makes them.
 */
export function beginsOutside(init: LoraInit): init is 'loftq' | 'eva' {
  return factsOf(init).outside === true;
}

/** Whether a file may say that an adapter began so. */
export function isInitInFiles(init: LoraInit): boolean {
  return factsOf(init).inFiles === true;
}

/** Whether it goes with plain LoRA alone, and with no variant. */
export function wantsPlainLora(init: LoraInit): boolean {
  return factsOf(init).plain === true;
}
