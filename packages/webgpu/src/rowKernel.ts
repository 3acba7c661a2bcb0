import { rowLanes } from './choices.js';
import type { ChoiceContext } from './choices.js';
import type { Shader } from './shader.js';
import { laneReductions } from './laneReduce.js';
import { grid, mainHead, nonFinite } from './shader.js';

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
export function rowForm(shader: Shader, rows: number, width: number, { profile }: ChoiceContext): RowForm {
  const lanes = rowLanes(width, profile);
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
  const reductions = [
    { name: 'rowSum', kind: 'sum' },
    { name: 'rowMax', kind: 'max' },
  ] as const;
  const { declarations, builtins, begin } = laneReductions(shader, { lanes, reductions }, profile);
  const helpers = `${nonFinite}${declarations}`;
  // `group` comes from the workgroup's index, so this return is the same for all lanes and the barriers stay uniform.
  return {
    lanes,
    workgroups,
    helpers,
    head:
      `${mainHead(lanes, workgroups, builtins)}\n${begin}  let row = group; let first = lane;\n  if (row >= ` +
      `${shader.size('rows', rows)}) { return; }`,
  };
}
