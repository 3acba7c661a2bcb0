import { sizeOf, stridesOf } from '@lowrank/tensor/op';
import type { Shape } from '@lowrank/tensor';
import type { KernelContext, KernelDispatch, Slice } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';

/** A walk over a block of elements: where each comes from and where it goes, by strides. */
export interface Move {
  readonly label: string;
  readonly shape: Shape;
  readonly from: Slice;
  readonly fromStart: number;
  readonly fromStrides: readonly number[];
  readonly to: Slice;
  readonly toStart: number;
  readonly toStrides: readonly number[];
}

/** Copies a strided block: what permute, slice and concat do. */
export function move(task: Move, context: KernelContext): KernelDispatch {
  const shader = new Shader(context);
  const x = shader.read('x', task.from);
  const y = shader.write('y', task.to);
  const total = sizeOf(task.shape);
  const workgroups = grid(Math.ceil(total / 64));
  const to = place(task.shape, task.toStrides, task.toStart);
  const from = place(task.shape, task.fromStrides, task.fromStart);
  const body = `${mainHead(64, workgroups)}
  if (index >= ${total}u) { return; }
  ${y}[${to}] = ${x}[${from}];
}
`;
  return shader.launch({ label: task.label, body, workgroups });
}

/** WGSL of start + Σ coordinate·stride for the flat `index` into `shape`. */
export function place(shape: Shape, strides: readonly number[], start: number): string {
  const dense = stridesOf(shape);
  const terms = shape.flatMap((size, axis) => {
    const stride = strides[axis];
    const inner = dense[axis] ?? 1;
    if (stride === 0 || size === 1) return [];
    return [`((index / ${inner}u) % ${size}u) * ${stride}u`];
  });
  return [`${start}u`, ...terms].join(' + ');
}
