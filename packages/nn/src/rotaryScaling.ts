/**
 * Stretched frequencies of rotary positions: what Hugging Face calls `rope_type`. With f the plain frequency
 * θ^(−2i/size) of pair i.
 */
export type RotaryScaling = LinearScaling | DynamicScaling | Llama3Scaling | YarnScaling | LongRopeScaling;

/** f/factor (position interpolation, Chen et al. 2023). */
export interface LinearScaling {
  readonly type: 'linear';
  readonly factor: number;
}

/**
 * Beyond the native length L₀, θ grows with the length L: θ·(factor·L/L₀ − factor + 1)^(size/(size − 2)) ("dynamic
 * NTK").
 */
export interface DynamicScaling {
  readonly type: 'dynamic';
  readonly factor: number;
  readonly nativePositions: number;
}

/** Llama 3.1's: long waves are slowed by `factor`, short ones are kept, between them is a blend. */
export interface Llama3Scaling {
  readonly type: 'llama3';
  readonly factor: number;
  readonly lowFrequencyFactor: number;
  readonly highFrequencyFactor: number;
  readonly originalMaxPositions: number;
}

/** YaRN (Peng et al. 2023): a ramp over the pairs from f to f/factor, and a factor on cos and sin. */
export interface YarnScaling {
  readonly type: 'yarn';
  readonly factor: number;
  readonly originalMaxPositions: number;
  readonly attentionFactor: number;
  /** Rotations over the original length from which on a pair is kept; and below which it is slowed. */
  readonly betaFast: number;
  readonly betaSlow: number;
  /** The ramp's ends are whole pairs. */
  readonly truncate: boolean;
}

/**
 * LongRoPE (Ding et al. 2024): f over a factor of its own for each pair, of one list up to the original length and of
 * another beyond it.
 */
export interface LongRopeScaling {
  readonly type: 'longrope';
  readonly shortFactors: readonly number[];
  readonly longFactors: readonly number[];
  readonly originalMaxPositions: number;
  readonly attentionFactor: number;
}

export interface Frequencies {
  /** Radians per position of each pair. */
  readonly frequencies: readonly number[];
  /** On cos and sin. */
  readonly attentionFactor: number;
  /** The same for lengths with the same frequencies. */
  readonly key: string;
}

/** The frequencies for rows of `length` positions. */
export function frequenciesAt(
  { size, theta, scaling }: { size: number; theta: number; scaling?: RotaryScaling | undefined },
  length: number,
): Frequencies {
  const plain = (base: number): number[] => Array.from({ length: size / 2 }, (_, i) => base ** ((-2 * i) / size));
  const found = (frequencies: readonly number[], attentionFactor = 1, key = ''): Frequencies => ({
    frequencies,
    attentionFactor,
    key,
  });
  switch (scaling?.type) {
    case undefined:
      return found(plain(theta));
    case 'linear':
      return found(plain(theta).map((f) => f / scaling.factor));
    case 'dynamic': {
      const { factor, nativePositions } = scaling;
      if (length <= nativePositions) return found(plain(theta));
      return found(
        plain(theta * (factor * (length / nativePositions) - (factor - 1)) ** (size / (size - 2))),
        1,
        String(length),
      );
    }
    case 'llama3':
      return found(plain(theta).map((f) => llama3(f, scaling)));
    case 'yarn':
      return found(yarn(plain(theta), { size, theta, scaling }), scaling.attentionFactor);
    case 'longrope': {
      const long = length > scaling.originalMaxPositions;
      const factors = long ? scaling.longFactors : scaling.shortFactors;
      return found(
        plain(theta).map((f, i) => f / (factors[i] ?? NaN)),
        scaling.attentionFactor,
        long ? 'long' : 'short',
      );
    }
  }
}

function llama3(
  frequency: number,
  { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions }: Llama3Scaling,
): number {
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < originalMaxPositions / high) return frequency;
  if (wavelength > originalMaxPositions / low) return frequency / factor;
  const smooth = (originalMaxPositions / wavelength - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

function yarn(
  plain: readonly number[],
  { size, theta, scaling }: { size: number; theta: number; scaling: YarnScaling },
): number[] {
  const { factor, originalMaxPositions, betaFast, betaSlow, truncate } = scaling;
  /** The pair that turns `rotations` times over the original length. */
  const pairOf = (rotations: number): number =>
    (size * Math.log(originalMaxPositions / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const round = truncate ? { down: Math.floor, up: Math.ceil } : { down: Number, up: Number };
  const start = Math.max(round.down(pairOf(betaFast)), 0);
  const end = Math.min(round.up(pairOf(betaSlow)), size - 1);
  const width = end === start ? 0.001 : end - start;
  return plain.map((f, i) => {
    const slowed = Math.min(Math.max((i - start) / width, 0), 1);
    return (f / factor) * slowed + f * (1 - slowed);
  });
}
