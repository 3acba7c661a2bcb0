import type { KernelContext } from './kernel.js';
import type { Shader } from './shader.js';
import { grid, mainHead, nonFinite, workgroupReduce } from './shader.js';

/**
 * How the elements of a row are shared out: one thread per row, or one workgroup per row whose lanes join through
 * workgroup memory.
 */
export interface RowForm {
  readonly lanes: number;
  readonly workgroups: [number, number, number];
  /** WGSL before main: helpers, and `rowSum(value, lane)` and `rowMax(value, lane)` over the row. */
  readonly helpers: string;
  /** Opens main and defines `row` and `first`; returns from threads without a row. */
  readonly head: string;
}

/**
 * The form for `rows` rows of `width` elements. A software adapter pays for barriers and gains nothing from lanes, so
 * there a thread walks a row alone; a loop over a row runs `for (var i = first; i < width; i += lanes)`.
 */
export function rowForm(
  shader: Shader,
  rows: number,
  width: number,
  { software }: Pick<KernelContext, 'software'>,
): RowForm {
  const lanes = software || width < 16 ? 1 : width <= 512 ? 64 : 256;
  if (lanes === 1) {
    const workgroups = grid(Math.ceil(rows / 64));
    const helpers = `${nonFinite}
fn rowSum(value: f32, lane: u32) -> f32 { return value; }
fn rowMax(value: f32, lane: u32) -> f32 { return value; }
`;
    return {
      lanes,
      workgroups,
      helpers,
      head:
        `${mainHead(64, workgroups)}\n  let row = index; let first = 0u;\n  if (row >= ` +
        `${shader.size('rows', rows)}) { return; }`,
    };
  }
  const workgroups = grid(rows);
  const sum = workgroupReduce('rowSum', lanes, (x, y) => `${x} + ${y}`);
  const max = workgroupReduce('rowMax', lanes, (x, y) => `largest(${x}, ${y})`);
  const helpers = `${nonFinite}${sum}${max}`;
  // `group` comes from the workgroup's index, so this return is the same for all lanes and the barriers stay uniform.
  return {
    lanes,
    workgroups,
    helpers,
    head:
      `${mainHead(lanes, workgroups)}\n  let row = group; let first = lane;\n  if (row >= ` +
      `${shader.size('rows', rows)}) { return; }`,
  };
}
