import type { Tensor } from '@lowrank/tensor';
import { rope, tensor } from '@lowrank/tensor';

/** Llama 3's stretching of low frequencies (Hugging Face's `rope_type: "llama3"`). */
export interface Llama3Scaling {
  readonly type: 'llama3';
  readonly factor: number;
  readonly lowFrequencyFactor: number;
  readonly highFrequencyFactor: number;
  readonly originalMaxPositions: number;
}

export interface LinearScaling {
  readonly type: 'linear';
  readonly factor: number;
}

export interface RotaryOptions {
  /** Elements of a head that are turned: usually all of it. */
  readonly size: number;
  readonly theta: number;
  readonly maxPositions: number;
  readonly scaling?: Llama3Scaling | LinearScaling | undefined;
}

/**
 * The tables of rotary position embedding (Su et al. 2021): cos and sin of position·θ^(−2i/size), [maxPositions, size/2]. Made on the host in double precision and
 * rounded once: shader sines are off by 2e-4 at such angles.
 */
export class RotaryTable {
  readonly cosine: Tensor;
  readonly sine: Tensor;

  constructor(options: RotaryOptions) {
    const { size, maxPositions } = options;
    const half = size / 2;
    const frequencies = Float64Array.from({ length: half }, (_, i) => scaled(options.theta ** ((-2 * i) / size), options.scaling));
    const table = (fn: (angle: number) => number): Float32Array =>
      Float32Array.from({ length: maxPositions * half }, (_, at) => fn(Math.floor(at / half) * (frequencies[at % half] ?? 0)));
    this.cosine = tensor(table(Math.cos), [maxPositions, half], { name: 'rope cosine' });
    this.sine = tensor(table(Math.sin), [maxPositions, half], { name: 'rope sine' });
  }

  /** x [B, T, H, D] turned by its positions i32 [B, T]. */
  apply(x: Tensor, positions: Tensor): Tensor {
    return rope(x, this.cosine, this.sine, positions);
  }

  dispose(): void {
    this.cosine.dispose();
    this.sine.dispose();
  }
}

function scaled(frequency: number, scaling: RotaryOptions['scaling']): number {
  if (scaling === undefined) return frequency;
  if (scaling.type === 'linear') return frequency / scaling.factor;
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < originalMaxPositions / high) return frequency;
  if (wavelength > originalMaxPositions / low) return frequency / factor;
  const smooth = (originalMaxPositions / wavelength - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}
