/**
 * How the A and B of a new adapter are filled: PEFT's `true` (Kaiming-uniform A, zero B), 'gaussian' (A normal with
 * standard deviation 1/r, zero B), 'orthogonal' (both random, BA = 0), 'olora' and 'pissa' (a part of W, which is taken
 * off again elsewhere; pissa_niter_N decomposes W in N randomized steps), 'loftq' (from what a layer's quantization
 * lost; patch's addAdapter), or 'eva' (from what the layer's inputs vary in; the same). A file says `true` of
 * an adapter that began as loftq, as PEFT has it: there is nothing to do when it is loaded.
 */
export type LoraInit = (typeof loraInits)[number] | `pissa_niter_${number}`;

export const loraInits = ['kaiming', 'gaussian', 'orthogonal', 'olora', 'pissa', 'loftq', 'eva'] as const;

export function isLoraInit(name: unknown): name is LoraInit {
  return loraInits.some((init) => init === name) || (typeof name === 'string' && /^pissa_niter_[1-9]\d*$/.test(name));
}

/** Whether A and B begin as a part of W: what they began as is not learned. */
export function beginsInBase(init: LoraInit): boolean {
  return init === 'olora' || init.startsWith('pissa');
}

/**
 * Whether A and B begin from what no layer knows by itself: what quantization lost, or the data. patch's
 * `addAdapter` makes them.
 */
export function beginsOutside(init: LoraInit): init is 'loftq' | 'eva' {
  return init === 'loftq' || init === 'eva';
}
