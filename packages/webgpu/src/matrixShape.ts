import type { AdapterDescription } from './adapters.js';
import type { Precision } from '@lowrank/tensor/backend';

/** The subgroup matrices that kernels use. */
export interface MatrixShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly operand: 'f16' | 'f32';
  /** Lanes of the subgroups that multiply them. */
  readonly lanes: number;
  /** Pipelines have to ask for subgroups of so many lanes, since the device has others too. */
  readonly sized: boolean;
}

/**
 * The largest matrices with f32 sums that tile a block of 16×16 (and k steps of 32), among those that a device offers:
 * 8×8×8 of lavapipe and Apple, 16×16×16 of AMD and NVIDIA, 8×16×16 of Intel. Undefined where there are none, or where
 * the size of their subgroups cannot be known.
 */
export function matrixShapeOf(
  adapter: Omit<AdapterDescription, 'limits'>,
  features: ReadonlySet<string>,
  precision: Precision,
): MatrixShape | undefined {
  const operand = precision === 'mixed' ? 'f16' : 'f32';
  const fitting = (adapter.subgroupMatrices ?? []).filter(
    (each) =>
      each.operand === operand && each.sum === 'f32' && 16 % each.m === 0 && 16 % each.n === 0 && 16 % each.k === 0,
  );
  const [largest] = fitting.toSorted((a, b) => b.m * b.n * b.k - a.m * a.n * a.k);
  if (largest === undefined) return undefined;
  const { m, n, k } = largest;
  const { subgroupMinSize: min = 0, subgroupMaxSize: max = 0 } = adapter;
  // Intel's units are as wide as their columns; the others' are 32 lanes.
  const lanes = min === max ? min : adapter.vendor === 'intel' ? n : 32;
  const sized = min !== max;
  if (lanes < min || lanes > max || lanes === 0 || (sized && !features.has('subgroup-size-control'))) return undefined;
  return { m, n, k, operand, lanes, sized };
}
