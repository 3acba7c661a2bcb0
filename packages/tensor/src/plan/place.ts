import { LowrankError } from '@lowrank/errors';
import type { BackendSpec, Operand, Plan, PlanBuffer, Step } from '../backend.js';
import type { KernelName } from '../ops/index.js';
import { showShape } from '../shape.js';
import { arenasOf } from './arenasOf.js';
import type { Block } from './arenasOf.js';
import type { LaunchUnit } from './groupLaunches.js';
import type { Instruction, Program } from './program.js';
import { Value } from './program.js';

/** A value's stretch of storage. */
interface ValueBlock extends Block {
  readonly value: Value;
  last: number;
  readonly interferes: Set<Block>;
  buffer: number;
  offset: number;
}

/**
 * Gives every value its place: persistent tensors keep their own buffers, arguments and scalars get one buffer each,
 * and all intermediates share a few arenas by liveness (greedily, the largest first: Pisarchyk & Lee 2020). Where a
 * backend cannot read and write slices of one buffer in one kernel, values that meet so are coloured into different
 * arenas. What one launch touches, of all its members, is alive at the same time.
 */
export function place(program: Program, units: readonly LaunchUnit[], spec: BackendSpec): Plan {
  const workspaces = new Map(program.instructions.map((instruction) => [instruction, workspaceOf(instruction, spec)]));
  units.forEach((unit) => joinWorkspaces(unit, workspaces, spec));
  const blocks = liveBlocks(program, { units, workspaces, spec });
  const buffers: PlanBuffer[] = [];
  const leaves = placeLeaves(program, spec, buffers);
  placeBlocks(blocks, spec, buffers);
  const byValue = new Map([...blocks.values()].map((block) => [block.value, block]));
  const operand = (value: Value): Operand => {
    const { root } = value;
    const home = byValue.get(root) ?? leaves.get(root);
    if (home === undefined) throw new TypeError(`a value of ${showShape(value.spec.shape)} has no place`);
    return { ...value.spec, buffer: home.buffer, offset: home.offset + value.place, bytes: value.bytes };
  };
  const stepOf = (instruction: Instruction, group: number | undefined): Step => {
    const { op, attrs, inputs, outputs, scope } = instruction;
    const workspace = workspaces.get(instruction);
    const specs = inputs.map((input) => input.spec);
    const step = {
      op: op.name as KernelName,
      attrs,
      inputs: inputs.map(operand),
      outputs: outputs.map(operand),
      workspace: workspace === undefined ? undefined : operand(workspace),
      scope,
      flops: op.flops?.(specs, attrs) ?? 0,
      ...(group === undefined ? {} : { group }),
    };
    checkBindings(step, spec);
    return step;
  };
  const steps = units.flatMap((unit, at) =>
    unit.map((instruction) => stepOf(instruction, unit.length > 1 ? at : undefined)),
  );
  return {
    buffers,
    steps,
    inputs: program.inputs.map(({ name, value }) => ({ name, ...operand(value) })),
    scalars: [...leaves.keys()].flatMap(({ leaf }) => (leaf?.kind === 'scalar' ? [leaf] : [])),
    outputs: program.outputs.map(({ name, value }) => ({ name, ...operand(value) })),
  };
}

function workspaceOf({ op, attrs, inputs, outputs }: Instruction, spec: BackendSpec): Value | undefined {
  const bytes = spec.workspaceBytes(
    op.name as KernelName,
    inputs.map((input) => input.spec),
    outputs.map((output) => output.spec),
    attrs,
  );
  return bytes === 0 ? undefined : new Value({ shape: [Math.ceil(bytes / 4)], dtype: 'u32' });
}

/** The scratch memory of a launch's members lies side by side, so that one binding holds it. */
function joinWorkspaces(
  unit: LaunchUnit,
  workspaces: ReadonlyMap<Instruction, Value | undefined>,
  { alignment }: BackendSpec,
): void {
  const all = unit.flatMap((instruction) => workspaces.get(instruction) ?? []);
  if (all.length < 2) return;
  const bytes = all.reduce((total, value) => total + align(value.bytes, alignment), 0);
  const joined = new Value({ shape: [bytes / 4], dtype: 'u32' });
  let end = 0;
  for (const value of all) {
    value.base = joined;
    value.offset = end;
    end += align(value.bytes, alignment);
  }
}

function liveBlocks(
  program: Program,
  options: {
    units: readonly LaunchUnit[];
    workspaces: ReadonlyMap<Instruction, Value | undefined>;
    spec: BackendSpec;
  },
): Map<Value, ValueBlock> {
  const { units, workspaces, spec } = options;
  const blocks = new Map<Value, ValueBlock>();
  const touch = (value: Value, at: number): ValueBlock | undefined => {
    const { root } = value;
    if (root.leaf !== undefined) return undefined;
    const known = blocks.get(root);
    const block = known ?? {
      value: root,
      bytes: align(root.bytes, spec.alignment),
      first: at,
      last: at,
      interferes: new Set<Block>(),
      buffer: -1,
      offset: 0,
    };
    block.last = Math.max(block.last, at);
    blocks.set(root, block);
    return block;
  };
  units.forEach((unit, at) => {
    const read = unit.flatMap(({ inputs }) => inputs.flatMap((input) => touch(input, at) ?? []));
    const written = unit.flatMap((instruction) =>
      [...instruction.outputs, ...[workspaces.get(instruction) ?? []].flat()].flatMap(
        (output) => touch(output, at) ?? [],
      ),
    );
    for (const source of read) {
      for (const target of written) {
        if (source === target) continue;
        source.interferes.add(target);
        target.interferes.add(source);
      }
    }
  });
  program.outputs.forEach(({ value }) => touch(value, units.length));
  return blocks;
}

type Home = Pick<ValueBlock, 'buffer' | 'offset'>;

/** Persistent tensors, arguments and scalars. */
function placeLeaves(program: Program, spec: BackendSpec, buffers: PlanBuffer[]): Map<Value, Home> {
  const leaves = new Map<Value, Home>();
  const used = new Set<Value>();
  for (const { inputs, outputs } of program.instructions)
    for (const { root } of [...inputs, ...outputs]) if (root.leaf !== undefined) used.add(root);
  for (const { value } of [...program.inputs, ...program.outputs])
    if (value.root.leaf !== undefined) used.add(value.root);
  const inputs = [...used].filter(({ leaf }) => leaf?.kind === 'input' && !leaf.donated);
  const scalars = [...used].filter(({ leaf }) => leaf?.kind === 'scalar');
  let end = 0;
  for (const value of inputs) {
    leaves.set(value, { buffer: 0, offset: end });
    end = align(end + value.bytes, spec.alignment);
  }
  buffers.push({ kind: 'inputs', bytes: end }, { kind: 'scalars', bytes: 16 * Math.ceil(scalars.length / 4) });
  scalars.forEach((value, at) => leaves.set(value, { buffer: 1, offset: 4 * at }));
  for (const value of used) {
    const { leaf, bytes } = value;
    if (leaf === undefined || leaf.kind === 'scalar' || inputs.includes(value)) continue;
    leaves.set(value, { buffer: buffers.length, offset: 0 });
    buffers.push(
      leaf.kind === 'source' ? { kind: 'source', bytes, source: leaf } : { kind: 'argument', bytes, name: leaf.name },
    );
  }
  return leaves;
}

function placeBlocks(blocks: ReadonlyMap<Value, ValueBlock>, spec: BackendSpec, buffers: PlanBuffer[]): void {
  for (const { bytes, places } of arenasOf([...blocks.values()], spec)) {
    for (const [block, offset] of places) Object.assign(block, { buffer: buffers.length, offset });
    buffers.push({ kind: 'arena', bytes });
  }
}

function align(bytes: number, alignment: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

function checkBindings(
  { op, scope, inputs, outputs }: Pick<Step, 'op' | 'scope' | 'inputs' | 'outputs'>,
  spec: BackendSpec,
): void {
  for (const { bytes, shape, dtype } of [...inputs, ...outputs]) {
    if (bytes <= spec.maxBindingBytes) continue;
    throw new LowrankError({
      code: 'tensor.binding',
      what: `${op}${scope === '' ? '' : ` in ${scope}`}`,
      expected: `operands of at most ${spec.maxBindingBytes} bytes, the device's limit for one binding`,
      got: `${dtype}${showShape(shape)} of ${bytes} bytes`,
      remedy: 'Use a device with a higher limit, a shorter batch or a smaller model.',
    });
  }
}
