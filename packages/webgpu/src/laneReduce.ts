import type { DeviceProfile } from './profile.js';
import type { Shader } from './shader.js';

/** How the lanes of a workgroup join their numbers: WGSL to put before main, among its parameters, and at its top. */
export interface LaneReductions {
  readonly declarations: string;
  readonly builtins: readonly string[];
  readonly begin: string;
}

export interface LaneReduction {
  /** The function's name: `name(value, lane)` gives every lane the result. */
  readonly name: string;
  /** The sum; or the maximum, NaN where one lane has it. */
  readonly kind: 'sum' | 'max';
}

/**
 * Declares reductions over the `lanes` lanes of a workgroup, which all have to call them. By subgroup operations where
 * the profile has them: one number of each subgroup goes through workgroup memory. Otherwise by a tree over all lanes.
 * Needs `nonFinite`.
 */
export function laneReductions(
  shader: Shader,
  { lanes, reductions }: { readonly lanes: number; readonly reductions: readonly LaneReduction[] },
  { subgroups }: DeviceProfile,
): LaneReductions {
  if (subgroups === undefined)
    return { declarations: reductions.map((each) => treeReduction(each, lanes)).join(''), builtins: [], begin: '' };
  shader.enable('subgroups');
  const cells = Math.max(1, lanes / subgroups.min);
  return {
    declarations: `var<private> subgroupLanes: u32;
${reductions.map((each) => subgroupReduction(each, lanes, cells)).join('')}`,
    builtins: ['@builtin(subgroup_size) lanesOfSubgroup: u32'],
    begin: '  subgroupLanes = lanesOfSubgroup;\n',
  };
}

function join(kind: LaneReduction['kind'], a: string, b: string): string {
  return kind === 'sum' ? `${a} + ${b}` : `largest(${a}, ${b})`;
}

function treeReduction({ name, kind }: LaneReduction, lanes: number): string {
  const cell = (at: string): string => `${name}Cells[${at}]`;
  return `
var<workgroup> ${name}Cells: array<f32, ${lanes}>;
fn ${name}(value: f32, lane: u32) -> f32 {
  ${cell('lane')} = value;
  workgroupBarrier();
  for (var width = ${lanes / 2}u; width > 0u; width >>= 1u) {
    if (lane < width) { ${cell('lane')} = ${join(kind, cell('lane'), cell('lane + width'))}; }
    workgroupBarrier();
  }
  let result = ${cell('0')};
  workgroupBarrier();
  return result;
}
`;
}

// The lanes of a subgroup are neighbours (`subgroupsAreInOrder` has asked the device), and a subgroup may be wider than
// the workgroup. `subgroupMax` may drop a NaN, so whether there is one is asked separately.
function subgroupReduction({ name, kind }: LaneReduction, lanes: number, cells: number): string {
  const cell = (at: string): string => `${name}Cells[${at}]`;
  const own =
    kind === 'sum'
      ? 'subgroupAdd(value)'
      : 'select(subgroupMax(select(value, -infinity(), isNan(value))), notANumber(), subgroupAny(isNan(value)))';
  return `
var<workgroup> ${name}Cells: array<f32, ${cells}>;
fn ${name}(value: f32, lane: u32) -> f32 {
  let own = ${own};
  if (lane % subgroupLanes == 0u) { ${cell('lane / subgroupLanes')} = own; }
  workgroupBarrier();
  var result = ${cell('0')};
  for (var at = 1u; at < ${lanes}u / subgroupLanes; at++) { result = ${join(kind, 'result', cell('at'))}; }
  workgroupBarrier();
  return result;
}
`;
}
