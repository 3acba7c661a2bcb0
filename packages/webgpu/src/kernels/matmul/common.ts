import type { Shader } from '../../shader.js';
import type { Slice } from '../../kernel.js';
import { bindMatrix } from './operands.js';
import type { Matrix } from './operands.js';
import { partLength } from './product.js';
import type { Choice, Product } from './product.js';

/** One contraction of a product: the main one, and with an epilogue the low-rank one into the same accumulators. */
export interface Phase {
  readonly left: Matrix;
  readonly right: Matrix;
  /** WGSL expressions of the range of k. */
  readonly from: string;
  readonly to: string;
  /** Elements of k, when the range is known: a multiple of 4 needs no tail. */
  readonly length: number;
}

export interface Target {
  readonly name: string;
  readonly vector: boolean;
  /** WGSL of the first element of this batch (and part). */
  readonly base: string;
  readonly addend: { readonly name: string; readonly kind: 'full' | 'row'; readonly base: string } | undefined;
}

export interface Bound {
  readonly shader: Shader;
  readonly phases: readonly Phase[];
  readonly target: Target;
  /** WGSL that must stand at the top of main: batch and part from the z index. */
  readonly head: string;
}

/** Binds everything a product reads and writes. With split K the result is the workspace and the addend waits for the second pass. */
export function bindProduct(shader: Shader, product: Product, choice: Choice, workspace: Slice | undefined): Bound {
  const { m, n, k, a, b, out, lowRank, addend, batch } = product;
  const split = choice.splits > 1;
  const left = bindMatrix(shader, {
    name: 'a', slice: a, dtype: a.dtype, outer: product.transposeA ? k : m, inner: product.transposeA ? m : k, alongInner: !product.transposeA,
    base: stride(batch, m * k),
  });
  const right = bindMatrix(shader, {
    name: 'b', slice: b, dtype: b.dtype, outer: product.transposeB ? n : k, inner: product.transposeB ? k : n, alongInner: product.transposeB,
    base: stride(batch, n * k),
  });
  const part = partLength(k, choice);
  const range = split ? { from: `part * ${part}u`, to: `min(part * ${part}u + ${part}u, ${k}u)` } : { from: '0u', to: `${k}u` };
  const phases: Phase[] = [{ left, right, ...range, length: k }];
  if (lowRank !== undefined) {
    const { h, u, rank, transposeU } = lowRank;
    phases.push({
      left: bindMatrix(shader, { name: 'h', slice: h, dtype: h.dtype, outer: m, inner: rank, alongInner: true, base: stride(batch, m * rank) }),
      right: bindMatrix(shader, {
        name: 'u', slice: u, dtype: u.dtype, outer: transposeU ? n : rank, inner: transposeU ? rank : n, alongInner: transposeU, base: '',
      }),
      from: '0u',
      to: split ? `select(0u, ${rank}u, part == 0u)` : `${rank}u`,
      length: rank,
    });
  }
  const outVector = n % 4 === 0;
  const type = outVector ? 'vec4<f32>' : 'f32';
  if (split && workspace === undefined) throw new TypeError('split K without workspace');
  const name = split && workspace !== undefined ? shader.write('partial', workspace, type) : shader.write('c', out, type);
  const base = split ? `(part * ${batch}u + batch) * ${m * n}u` : stride(batch, m * n);
  const target: Target = {
    name, vector: outVector, base,
    addend: addend === undefined || split ? undefined : { name: shader.read('addend', addend.value, type), kind: addend.kind, base: stride(batch, m * n) },
  };
  const head = `let batch = wid.z % ${batch}u; let part = wid.z / ${batch}u;`;
  return { shader, phases, target, head };
}

function stride(batch: number, elements: number): string {
  return batch === 1 || elements === 0 ? '' : `batch * ${elements}u`;
}

/** WGSL that stores four neighbouring results `value` (a vec4) at (row, col) with bounds checks against m and n. */
export function storeFour(target: Target, { n, row, col, value }: { n: number; row: string; col: string; value: string }): string {
  const at = `${target.base === '' ? '' : `${target.base} + `}${row} * ${n}u + ${col}`;
  const { addend } = target;
  const from = addend === undefined ? '' : addend.kind === 'row' ? col : `${addend.base === '' ? '' : `${addend.base} + `}${row} * ${n}u + ${col}`;
  if (target.vector) {
    const plus = addend === undefined ? '' : ` + ${addend.name}[(${from}) / 4u]`;
    return `if (${col} < ${n}u) { ${target.name}[(${at}) / 4u] = ${value}${plus}; }`;
  }
  return [0, 1, 2, 3]
    .map((lane) => {
      const plus = addend === undefined ? '' : ` + ${addend.name}[${from} + ${lane}u]`;
      return `if (${col} + ${lane}u < ${n}u) { ${target.name}[${at} + ${lane}u] = (${value})[${lane}]${plus}; }`;
    })
    .join('\n    ');
}
