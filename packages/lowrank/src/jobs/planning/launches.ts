import { matmulSizes } from '@lowrank/tensor/op';
import type { MatmulAttrs } from '@lowrank/tensor/op';
import type { Operand, Plan, Step } from '@lowrank/tensor/backend';
import { lowerSteps } from '@lowrank/webgpu';
import type { DeviceProfile } from '@lowrank/webgpu';

/** Launches that are of one kind: `products`, `thin products` (one of whose sides is a rank), `attention`, … */
export const launchGroups = [
  'products',
  'products over codes',
  'thin products',
  'head and loss',
  'attention',
  'SwiGLU',
  'rope',
  'norms and sums',
  'scales',
  'optimizer',
  'embedding',
] as const;
/** One of {@link launchGroups}. */
export type LaunchGroup = (typeof launchGroups)[number];

/** Steps of a plan that run as one. */
export interface PlannedLaunch {
  readonly group: LaunchGroup;
  readonly dispatches: number;
  /** Operands read and results written, each once, and partial sums both ways. */
  readonly bytes: number;
  readonly flops: number;
}

/**
 * The launches of a plan, in order, as a GPU of this profile would run them; without a profile as the CPU backend does,
 * where every step is a launch.
 */
export function plannedLaunches(plan: Plan, profile?: DeviceProfile): PlannedLaunch[] {
  const groupOf = groupsOf(plan);
  const dispatches = new Map<Step, number>();
  for (const step of profile === undefined ? plan.steps : lowerSteps(plan, { profile }).map((each) => each.step))
    dispatches.set(step, (dispatches.get(step) ?? 0) + 1);
  const together = profile === undefined ? plan.steps.map((step) => [step]) : launchesOf(plan.steps);
  return together.flatMap((steps): PlannedLaunch[] => {
    const [first] = steps;
    if (first === undefined) return [];
    const flops = steps.reduce((sum, each) => sum + each.flops, 0);
    return [{ group: groupOf(first), dispatches: dispatches.get(first) ?? 0, bytes: bytesOf(steps), flops }];
  });
}

/** Which group a step of a plan belongs to. */
export function groupsOf(plan: Plan): (step: Step) => LaunchGroup {
  const vocabulary = Math.max(0, ...plan.steps.flatMap(({ op, inputs }) => vocabularyOf(op, inputs)));
  return (step) => groupOf(step, vocabulary);
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

const groupNames: Readonly<Record<string, LaunchGroup>> = {
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

function groupOf({ op, attrs, inputs }: Step, vocabulary: number): LaunchGroup {
  if (op === 'matmul') {
    const { m, n, k } = matmulSizes(inputs, attrs as MatmulAttrs);
    if (n === vocabulary || k === vocabulary) return 'head and loss';
    if (Math.min(m, n, k) <= 128) return 'thin products';
    return (attrs as MatmulAttrs).encoding === undefined ? 'products' : 'products over codes';
  }
  if (op === 'elementwise' && JSON.stringify(attrs).includes('"mul"')) return 'scales';
  return groupNames[op] ?? 'norms and sums';
}
