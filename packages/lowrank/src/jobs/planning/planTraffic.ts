import { matmulSizes } from '@lowrank/tensor/op';
import type { MatmulAttrs } from '@lowrank/tensor/op';
import type { Operand, Step } from '@lowrank/tensor/backend';
import { lowerSteps } from '@lowrank/webgpu';
import { planStepOn } from './planKernels.js';
import type { PlanKernelsOptions } from './planKernels.js';

/** What a group of a step's launches costs: `products`, `thin products`, `attention`, … */
export interface LaunchCost {
  readonly group: string;
  readonly dispatches: number;
  /** Operands read and results written, each once per launch, and partial sums both ways. */
  readonly bytes: number;
}

/**
 * Dispatches and bytes of a training step, by groups of launches, most bytes first, without a GPU.
 *
 * @throws LowrankError as {@link planFineTune}
 */
export async function planTraffic(options: PlanKernelsOptions): Promise<LaunchCost[]> {
  const { plans, profile } = await planStepOn(options);
  const groups = new Map<string, { dispatches: number; bytes: number }>();
  for (const plan of plans) {
    const vocabulary = Math.max(0, ...plan.steps.flatMap(({ op, inputs }) => vocabularyOf(op, inputs)));
    const costOf = (step: Step): { dispatches: number; bytes: number } => {
      const name = groupOf(step, vocabulary);
      const cost = groups.get(name) ?? { dispatches: 0, bytes: 0 };
      groups.set(name, cost);
      return cost;
    };
    for (const { step } of lowerSteps(plan, { profile })) costOf(step).dispatches++;
    for (const launch of launchesOf(plan.steps)) {
      const [first] = launch;
      if (first !== undefined) costOf(first).bytes += bytesOf(launch);
    }
  }
  return [...groups].map(([group, cost]) => ({ group, ...cost })).sort((a, b) => b.bytes - a.bytes);
}

function launchesOf(steps: readonly Step[]): Step[][] {
  const launches: Step[][] = [];
  for (const step of steps) {
    const last = launches.at(-1);
    if (step.group !== undefined && step.group === last?.[0]?.group) last.push(step);
    else launches.push([step]);
  }
  return launches;
}

function bytesOf(launch: readonly Step[]): number {
  const read = new Map(
    launch.flatMap(({ inputs }) =>
      inputs.map((input): [string, Operand] => [`${input.buffer}+${input.offset}`, input]),
    ),
  );
  const written = launch.flatMap(({ outputs, workspace }) => [
    ...outputs,
    ...(workspace === undefined ? [] : [workspace, workspace]),
  ]);
  return [...read.values(), ...written].reduce((total, { bytes }) => total + bytes, 0);
}

function vocabularyOf(op: string, [logits]: readonly Operand[]): number[] {
  return op === 'crossEntropyRows' ? [logits?.shape[1] ?? 0] : [];
}

const groupNames: Readonly<Record<string, string>> = {
  crossEntropyRows: 'head and loss',
  swiglu: 'SwiGLU',
  swigluBackward: 'SwiGLU',
  rope: 'rope',
  attention: 'attention',
  attentionBackward: 'attention',
  adamw: 'optimizer',
  adamw8bit: 'optimizer',
  squaredNorm: 'optimizer',
  gatherRows: 'embedding',
};

function groupOf({ op, attrs, inputs }: Step, vocabulary: number): string {
  if (op === 'matmul') {
    const { m, n, k } = matmulSizes(inputs, attrs as MatmulAttrs);
    if (n === vocabulary || k === vocabulary) return 'head and loss';
    return Math.min(m, n, k) <= 128 ? 'thin products' : 'products';
  }
  if (op === 'elementwise' && JSON.stringify(attrs).includes('"mul"')) return 'scales';
  return groupNames[op] ?? 'norms and sums';
}
