import type { Tensor } from '@lowrank/tensor';
import { add, cast, less, reshape, rope, where, slice, sub } from '@lowrank/tensor';
import { deferred } from '@lowrank/tensor/op';
import type { RotaryScaling } from './rotaryScaling.js';
import { frequenciesAt } from './rotaryScaling.js';

/** Rotary position embedding: angles are positions · θ^(−2i/size) for i < size/2 (Su et al. 2021). */
export interface RotaryOptions {
  /** Elements of a head that are turned: usually all of it, else the first ones. */
  readonly size: number;
  readonly theta: number;
  readonly maxPositions: number;
  readonly scaling?: RotaryScaling | undefined;
}

/** How far positions may reach, for scalings that depend on the length. */
export interface RotaryReach {
  /**
   * Positions of the row, or those that a cache has room for; by default all that the model has. Positions lie below
   * it.
   */
  readonly length?: number | undefined;
  /** i32 [B, T, 2]: the bounds of each token's document within its row. */
  readonly segments?: Tensor | undefined;
}

interface Tables {
  readonly cosine: Tensor;
  readonly sine: Tensor;
}

/**
 * The tables of rotary position embedding (Su et al. 2021): cos and sin of position·frequency, [positions, size/2],
 * times the scaling's attention factor. Made on the host in double precision and rounded once: shader sines are off by
 * 2e-4 at such angles. They are as long as the current row or cache needs, and kept.
 */
export class RotaryTable {
  private readonly made = new Map<string, Tables>();

  constructor(private readonly options: RotaryOptions) {}

  /**
   * x [B, T, H, D] turned by its positions i32 [B, T].
   *
   * Scalings that depend on the length: `dynamic` uses `length`; `longrope` the length of each token's document where
   * `segments` are given, else by `length`.
   */
  apply(x: Tensor, positions: Tensor, { length = this.options.maxPositions, segments }: RotaryReach = {}): Tensor {
    const { scaling } = this.options;
    if (scaling?.type === 'longrope' && segments !== undefined && length > scaling.originalMaxPositions)
      return this.byDocument(x, positions, segments, { length, native: scaling.originalMaxPositions });
    const { cosine, sine } = this.tables([length], length);
    return rope(x, cosine, sine, positions);
  }

  /** Both tables of longrope one below the other: the tokens of long documents look into the second. */
  private byDocument(
    x: Tensor,
    positions: Tensor,
    segments: Tensor,
    { length, native }: { length: number; native: number },
  ): Tensor {
    const bounds = cast(segments, 'f32');
    const documentLength = reshape(sub(slice(bounds, 2, 1, 2), slice(bounds, 2, 0, 1)), positions.shape);
    const rows = rowsFor(length);
    const places = cast(add(cast(positions, 'f32'), where(less(native, documentLength), rows, 0)), 'i32');
    const { cosine, sine } = this.tables([native, length], length);
    return rope(x, cosine, sine, places);
  }

  /** Tables for rows of `length`, with the frequencies of each of `lengths`, one below the other. */
  private tables(lengths: readonly number[], length: number): Tables {
    const { options } = this;
    const rows = rowsFor(length);
    const parts = lengths.map((each) => frequenciesAt(options, each));
    const key = `${rows} ${parts.map(({ key: name }) => name).join()}`;
    const known = this.made.get(key);
    if (known !== undefined) return known;
    const half = options.size / 2;
    const table = (fn: (angle: number) => number): Float32Array =>
      Float32Array.from({ length: parts.length * rows * half }, (_, at) => {
        const part = parts[Math.floor(at / (rows * half))];
        return (
          (part?.attentionFactor ?? NaN) * fn((Math.floor(at / half) % rows) * (part?.frequencies[at % half] ?? NaN))
        );
      });
    const shape = [parts.length * rows, half];
    const tables = {
      cosine: deferred(() => table(Math.cos), shape, { name: 'rope cosine' }),
      sine: deferred(() => table(Math.sin), shape, { name: 'rope sine' }),
    };
    this.made.set(key, tables);
    return tables;
  }

  dispose(): void {
    for (const { cosine, sine } of this.made.values()) [cosine, sine].forEach((each) => each.dispose());
    this.made.clear();
  }
}

/** Powers of two, so that rows of many lengths share few tables. */
function rowsFor(length: number): number {
  return 2 ** Math.max(4, Math.ceil(Math.log2(length)));
}
