import type { HostArray, Tensor } from '@lowrank/tensor';
import { embedding, mul, pad, reshape } from '@lowrank/tensor';
import { deferred, threefry, viewAt, withGradient } from '@lowrank/tensor/op';
import type { ThreefryPair } from './subspaceDraws.js';
import { normalPair, shuffled } from './subspaceDraws.js';
import { Hadamard } from './subspaceHadamard.js';
import type { SubspaceProjection, ProjectedWeight, ProjectionOptions, WeightPlace } from './subspaceProjection.js';

/** Keeps the streams of this projection apart from others of the same seed; a weight has four of them. */
const stream = 0x0fa57000;

/**
 * Fastfood (Le, Sarlós and Smola 2013): blocks V = H·G·Π·H·B / √(d·ΣG²) of n = 2^⌈log₂ d⌉ rows stacked, with B random
 * signs, Π a random permutation, G diagonal and standard normal, H Walsh–Hadamard, over z padded with zeros to n. Li et
 * al. (2018) and Aghajanyan et al. (2020) take one block as long as the weight, and scale so that columns of P have
 * norm 1; blocks as long as z are Le's own form and cost D·log d. Here rows have the expected squared norm 1: P is
 * √(D/d) times theirs.
 */
export function fastfoodProjection({ dimension, seed }: ProjectionOptions): SubspaceProjection {
  const hadamard = new Hadamard(2 ** Math.ceil(Math.log2(dimension)));
  const tables: Tensor[] = [];
  return {
    rowsOf: (place) => rowsOf(place, { dimension, seed, hadamard, tables }),
    dispose() {
      for (const table of tables) table.dispose();
      hadamard.dispose();
    },
  };
}

function rowsOf(
  { index, size }: WeightPlace,
  { dimension, seed, hadamard, tables }: ProjectionOptions & { hadamard: Hadamard; tables: Tensor[] },
): ProjectedWeight {
  const n = hadamard.size;
  const blocks = Math.ceil(size / n);
  const key = (which: number): ThreefryPair => [seed, stream + 4 * index + which];
  const table = (name: string, make: () => HostArray, dtype: 'f32' | 'i32' = 'f32'): Tensor =>
    deferred(make, dtype === 'f32' ? [blocks, n] : [blocks * n], { dtype, name });
  const signs = table('subspaceSigns', () =>
    Float32Array.from({ length: blocks * n }, (_, at) =>
      threefry(key(0), [Math.floor(at / n), at % n])[0] >>> 31 === 1 ? -1 : 1,
    ),
  );
  const gains = table('subspaceGains', () => gaussian({ key: key(1), blocks, n, dimension }));
  const order = (): Int32Array => permutations({ key: key(2), blocks, n });
  const [there, back] = [table('subspaceOrder', order, 'i32'), table('subspaceInverse', () => inverse(order()), 'i32')];
  tables.push(signs, gains, there, back);
  return (z) => {
    const padded = reshape(n === dimension ? z : pad(z, [0], [n - dimension]), [1, n]);
    const mixed = hadamard.apply(mul(signs, padded));
    // The gradient of a permutation is the inverse one: no sums, and nothing to wait for.
    const turned = reordered(mixed, there, back);
    return viewAt(hadamard.apply(mul(turned, gains)), 0, [size]);
  };
}

function reordered(x: Tensor, there: Tensor, back: Tensor): Tensor {
  const take = (from: Tensor, ids: Tensor): Tensor => reshape(embedding(reshape(from, [from.size, 1]), ids), x.shape);
  return withGradient(take(x, there), [x], (g) => [take(g, back)]);
}

interface BlockDraws {
  readonly key: ThreefryPair;
  readonly blocks: number;
  readonly n: number;
}

/** G of each block, over √(d·ΣG²). */
function gaussian({ key, blocks, n, dimension }: BlockDraws & { readonly dimension: number }): Float32Array {
  const gains = new Float32Array(blocks * n);
  for (let block = 0; block < blocks; block++) {
    const values = new Float64Array(n);
    for (let at = 0; at < n; at += 2)
      normalPair(key, [block, at]).forEach((value, i) => at + i < n && (values[at + i] = value));
    const scale = 1 / Math.sqrt(dimension * values.reduce((sum, value) => sum + value * value, 0));
    values.forEach((value, at) => (gains[block * n + at] = value * scale));
  }
  return gains;
}

/** Π of each block, as places among all blocks. */
function permutations({ key, blocks, n }: BlockDraws): Int32Array {
  const ids = new Int32Array(blocks * n);
  for (let block = 0; block < blocks; block++)
    shuffled(n, key, block).order.forEach((from, at) => (ids[block * n + at] = block * n + from));
  return ids;
}

function inverse(order: Int32Array): Int32Array {
  const back = new Int32Array(order.length);
  order.forEach((from, at) => (back[from] = at));
  return back;
}
