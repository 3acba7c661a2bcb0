import type { Operand, Plan, PlanBuffer, Step } from '../backend.js';
import type { Tensor } from '../graph.js';
import type { ElementwiseAttrs } from '../ops/elementwise.js';
import { topological } from '../reference.js';
import { showShape } from '../shape.js';

/** The lazy graph as text, a line per node: `%12 = matmul(%3, %7) f32[8, 64] {…} model.layers.0.mlp`. */
export function dumpGraph(tensors: readonly Tensor[]): string {
  const nodes = topological(tensors);
  const number = new Map(nodes.map((node, at) => [node, at]));
  const name = ({ node, index }: Tensor): string => `%${number.get(node)}${index === 0 ? '' : `.${index}`}`;
  return nodes
    .map((node) => {
      const head = `%${number.get(node)} = `;
      if (node.kind !== 'op') return `${head}${node.kind} ${node.name} ${node.spec.dtype}${showShape(node.spec.shape)}`;
      const outputs = node.outputs.map(({ dtype, shape }) => `${dtype}${showShape(shape)}`).join(', ');
      return (
        `${head}${node.op.name}(${node.inputs.map(name).join(', ')}) ${outputs} ` +
        `${showAttrs(node.op.name, node.attrs)} ${node.scope}`
      ).trimEnd();
    })
    .join('\n');
}

/** What a plan costs, before anything runs. */
export interface PlanCost {
  readonly steps: number;
  readonly flops: number;
  readonly arenaBytes: number;
  readonly inputBytes: number;
  /** Persistent tensors that the plan reads or writes. */
  readonly sourceBytes: number;
}

/** Kernel launches, floating-point operations and bytes of a plan; exact before anything runs. */
export function planCost({ buffers, steps }: Plan): PlanCost {
  const bytesOf = (kind: PlanBuffer['kind']): number =>
    buffers.reduce((total, buffer) => total + (buffer.kind === kind ? buffer.bytes : 0), 0);
  return {
    steps: steps.length,
    flops: steps.reduce((total, step) => total + step.flops, 0),
    arenaBytes: bytesOf('arena'),
    inputBytes: bytesOf('inputs') + bytesOf('scalars'),
    sourceBytes: bytesOf('source'),
  };
}

/** The plan as text: its buffers, then a line per step with the place of each operand. */
export function dumpPlan(plan: Plan): string {
  const cost = planCost(plan);
  const buffers = plan.buffers.map(
    (buffer, at) =>
      `b${at} ${buffer.kind} ${buffer.bytes} bytes${buffer.kind === 'source' ? ` ${buffer.source.name}` : ''}`,
  );
  const steps = plan.steps.map((step, at) => `${at} ${showStep(step)}`);
  const total =
    `${cost.steps} steps, ${cost.flops} flops, ${cost.arenaBytes} bytes of intermediates, ${cost.sourceBytes} ` +
    'bytes persistent';
  return [...buffers, ...steps, total].join('\n');
}

function showStep({ op, attrs, inputs, outputs, workspace, scope }: Step): string {
  const scratch = workspace === undefined ? '' : ` scratch ${showOperand(workspace)}`;
  return (
    `${outputs.map(showOperand).join(', ')} = ${op}(${inputs.map(showOperand).join(', ')}) ` +
    `${showAttrs(op, attrs)}${scratch} ${scope}`
  ).trimEnd();
}

function showOperand({ buffer, offset, dtype, shape }: Operand): string {
  return `b${buffer}+${offset}:${dtype}${showShape(shape)}`;
}

function showAttrs(op: string, attrs: object): string {
  if (op === 'elementwise') return showProgram(attrs as ElementwiseAttrs);
  const text = JSON.stringify(attrs, (_, value: unknown) => (typeof value === 'function' ? 'function' : value));
  return text === '{}' ? '' : text;
}

function showProgram({ program }: ElementwiseAttrs): string {
  const formulas = program.map((formula) =>
    formula.fn === 'constant' ? String(formula.value) : `${formula.fn}(${formula.args.join(', ')})`,
  );
  return `{${formulas.join('; ')}}`;
}
