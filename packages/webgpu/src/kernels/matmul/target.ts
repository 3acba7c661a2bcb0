import type { Shader } from '../../shader.js';
import { cellsOf } from '../../fours.js';
import type { Cells, Stored, TypedSlice } from '../../fours.js';
import type { Slice } from '../../kernel.js';
import { stride } from './phases.js';
import type { Epilogue, Product } from './product.js';

/** Where results go, and what becomes of them there. */
export interface OutputTile {
  readonly out: Stored;
  readonly vector: boolean;
  /** WGSL of the first element of this batch (and part). */
  readonly base: string;
  /** WGSL that multiplies a result, or nothing. */
  readonly times: string;
  readonly addend: { readonly name: string; readonly kind: 'full' | 'row'; readonly base: string } | undefined;
  readonly epilogue: BoundEpilogue | undefined;
}

/** An epilogue's arrays. */
type BoundEpilogue =
  | { readonly form: 'swiglu'; readonly gate: Stored | undefined; readonly up: Stored | undefined }
  | {
      readonly form: 'swigluGradient';
      readonly gate: Stored;
      readonly up: Stored;
      readonly dUp: Stored;
      readonly y: Stored | undefined;
    };

/**
 * Binds what a product writes, and what is added there. With split K that is the workspace; scale and addend wait for
 * the second pass.
 */
export function bindTarget(
  shader: Shader,
  { n, out, addend, scale, batch, epilogue }: Product,
  { workspace, split }: { workspace: Slice | undefined; split: boolean },
): OutputTile {
  const vector = n % 4 === 0;
  const cells = cellsOf(shader, vector);
  if (split) {
    if (workspace === undefined) throw new TypeError('split K without workspace');
    const parts = cells.write('partial', { ...workspace, dtype: 'f32' });
    const base = '(part * BATCH + batch) * M * N';
    return { out: parts, vector, base, times: '', addend: undefined, epilogue: undefined };
  }
  const stored = cells.write('c', out);
  const base = stride(batch, 'M * N');
  const times = scale === undefined ? '' : ` * ${shader.scalar('scale', scale)}`;
  const target = { out: stored, vector, base, times, epilogue: bindEpilogue(cells, epilogue) };
  if (addend === undefined) return { ...target, addend };
  return {
    ...target,
    addend: { name: shader.read('addend', addend.value, vector ? 'vec4<f32>' : 'f32'), kind: addend.kind, base },
  };
}

function bindEpilogue(cells: Cells, epilogue: Epilogue | undefined): BoundEpilogue | undefined {
  if (epilogue === undefined) return undefined;
  const written = (name: string, slice: TypedSlice | undefined): Stored | undefined =>
    slice === undefined ? undefined : cells.write(name, slice);
  const { form, gate, up } = epilogue;
  if (form === 'swiglu') return { form, gate: written('gate', gate), up: written('up', up) };
  const read = { gate: cells.read('gate', gate), up: cells.read('up', up) };
  return { form, ...read, dUp: cells.write('dUp', epilogue.dUp), y: written('y', epilogue.y) };
}

/** WGSL: where four neighbouring results lie. */
interface Place {
  readonly row: string;
  readonly col: string;
}

/** WGSL that stores four neighbouring results `value` (a vec4) at (row, col) with bounds checks against m and n. */
export function storeFour(target: OutputTile, { row, col, value }: Place & { readonly value: string }): string {
  const place = (base: string): string => `${base === '' ? '' : `${base} + `}${row} * N + ${col}`;
  const at = place(target.base);
  const { addend } = target;
  const from = addend?.kind === 'row' ? col : place(addend?.base ?? '');
  if (target.vector) {
    const plus = addend === undefined ? '' : ` + ${addend.name}[(${from}) / 4u]`;
    return `if (${col} < N) { ${store(target, `(${at}) / 4u`, `${value}${target.times}${plus}`)} }`;
  }
  return [0, 1, 2, 3]
    .map((lane) => {
      const plus = addend === undefined ? '' : ` + ${addend.name}[${from} + ${lane}u]`;
      const result = `(${value})[${lane}]${target.times}${plus}`;
      return `if (${col} + ${lane}u < N) { ${store(target, `${at} + ${lane}u`, result)} }`;
    })
    .join('\n    ');
}

/** WGSL that writes one or four results, or what the epilogue makes of them. */
function store({ out, epilogue }: OutputTile, at: string, result: string): string {
  if (epilogue?.form !== 'swigluGradient') return out.write(at, result);
  const { gate, up, dUp, y } = epilogue;
  const once = y === undefined ? '' : ` ${y.write('at', 'x * s * u')}`;
  return `let at = ${at}; let g = ${result}; let x = ${gate.read('at')}; let u = ${up.read('at')};
      let s = 1.0f / (1.0f + exp(-x));
      ${out.write('at', 'g * u * s * (1.0f + x * (1.0f - s))')} ${dUp.write('at', 'g * x * s')}${once}`;
}

/** WGSL that joins four neighbouring results of each of two products, gate and up, and stores them. */
export function storeJoined(
  { out, vector, epilogue }: OutputTile,
  { row, col, values: [gate, up] }: Place & { readonly values: readonly [gate: string, up: string] },
): string {
  if (epilogue?.form !== 'swiglu') throw new TypeError('two products side by side that nothing joins');
  const write = (at: string, [x, u]: readonly [string, string]): string =>
    [
      `let at = ${at}; let x = ${x}; let u = ${u}; ${out.write('at', 'x / (1.0f + exp(-x)) * u')}`,
      epilogue.gate === undefined ? '' : ` ${epilogue.gate.write('at', 'x')}`,
      epilogue.up === undefined ? '' : ` ${epilogue.up.write('at', 'u')}`,
    ].join('');
  const at = `${row} * N + ${col}`;
  if (vector) return `if (${col} < N) { ${write(`(${at}) / 4u`, [gate, up])} }`;
  return [0, 1, 2, 3]
    .map(
      (lane) => `if (${col} + ${lane}u < N) { ${write(`${at} + ${lane}u`, [`${gate}[${lane}]`, `${up}[${lane}]`])} }`,
    )
    .join('\n    ');
}
