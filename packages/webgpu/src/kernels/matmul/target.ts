import type { Shader } from '../../shader.js';
import type { Slice } from '../../kernel.js';
import { stride } from './phases.js';
import type { Epilogue, Product } from './product.js';

/** Where results go, and what becomes of them there. */
export interface OutputTile {
  readonly name: string;
  readonly vector: boolean;
  /** WGSL of the first element of this batch (and part). */
  readonly base: string;
  /** WGSL that multiplies a result, or nothing. */
  readonly times: string;
  readonly addend: { readonly name: string; readonly kind: 'full' | 'row'; readonly base: string } | undefined;
  readonly epilogue: BoundEpilogue | undefined;
}

/** An epilogue's arrays by name. */
type BoundEpilogue =
  | { readonly form: 'swiglu'; readonly gate: string | undefined; readonly up: string | undefined }
  | {
      readonly form: 'swigluGradient';
      readonly gate: string;
      readonly up: string;
      readonly dUp: string;
      readonly y: string | undefined;
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
  const type = vector ? 'vec4<f32>' : 'f32';
  if (split) {
    if (workspace === undefined) throw new TypeError('split K without workspace');
    const name = shader.write('partial', workspace, type);
    const base = '(part * BATCH + batch) * M * N';
    return { name, vector, base, times: '', addend: undefined, epilogue: undefined };
  }
  const name = shader.write('c', out, type);
  const base = stride(batch, 'M * N');
  const times = scale === undefined ? '' : ` * ${shader.scalar('scale', scale)}`;
  const target = { name, vector, base, times, epilogue: bindEpilogue(shader, epilogue, type) };
  if (addend === undefined) return { ...target, addend };
  return { ...target, addend: { name: shader.read('addend', addend.value, type), kind: addend.kind, base } };
}

function bindEpilogue(
  shader: Shader,
  epilogue: Epilogue | undefined,
  type: 'vec4<f32>' | 'f32',
): BoundEpilogue | undefined {
  if (epilogue === undefined) return undefined;
  const written = (name: string, slice: Slice | undefined): string | undefined =>
    slice === undefined ? undefined : shader.write(name, slice, type);
  const { form, gate, up } = epilogue;
  if (form === 'swiglu') return { form, gate: written('gate', gate), up: written('up', up) };
  const read = { gate: shader.read('gate', gate, type), up: shader.read('up', up, type) };
  return { form, ...read, dUp: shader.write('dUp', epilogue.dUp, type), y: written('y', epilogue.y) };
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
function store({ name, epilogue }: OutputTile, at: string, result: string): string {
  if (epilogue?.form !== 'swigluGradient') return `${name}[${at}] = ${result};`;
  const { gate, up, dUp, y } = epilogue;
  const once = y === undefined ? '' : ` ${y}[at] = x * s * u;`;
  return `let at = ${at}; let g = ${result}; let x = ${gate}[at]; let u = ${up}[at];
      let s = 1.0f / (1.0f + exp(-x));
      ${name}[at] = g * u * s * (1.0f + x * (1.0f - s)); ${dUp}[at] = g * x * s;${once}`;
}

/** WGSL that joins four neighbouring results of each of two products, gate and up, and stores them. */
export function storeJoined(
  { name, vector, epilogue }: OutputTile,
  { row, col, values: [gate, up] }: Place & { readonly values: readonly [gate: string, up: string] },
): string {
  if (epilogue?.form !== 'swiglu') throw new TypeError('two products side by side that nothing joins');
  const write = (at: string, [x, u]: readonly [string, string]): string =>
    [
      `let at = ${at}; let x = ${x}; let u = ${u}; ${name}[at] = x / (1.0f + exp(-x)) * u;`,
      epilogue.gate === undefined ? '' : ` ${epilogue.gate}[at] = x;`,
      epilogue.up === undefined ? '' : ` ${epilogue.up}[at] = u;`,
    ].join('');
  const at = `${row} * N + ${col}`;
  if (vector) return `if (${col} < N) { ${write(`(${at}) / 4u`, [gate, up])} }`;
  return [0, 1, 2, 3]
    .map(
      (lane) => `if (${col} + ${lane}u < N) { ${write(`${at} + ${lane}u`, [`${gate}[${lane}]`, `${up}[${lane}]`])} }`,
    )
    .join('\n    ');
}
