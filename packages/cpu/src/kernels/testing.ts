import type { Backend, DType, HostArray, Shape } from '@lowrank/tensor';
import type { AttrsOf, KernelName, Operand, PlanBuffer } from '@lowrank/tensor/backend';
import type { Op, Spec } from '@lowrank/tensor/op';
import { fromNumbers, Rng } from '@lowrank/tensor';
import { coreOps } from '@lowrank/tensor/backend';
import { bytesPerElement, hostArray, sizeOf, toFloat64 } from '@lowrank/tensor/op';

/** For tests: runs one op through a plan of one step, beside its reference. */

export interface TestTensor extends Spec {
  readonly data: HostArray;
}

/** Single precision's unit of relative rounding error. */
export const epsilon = 2 ** -24;

let rng = new Rng(20);

/** Starts the numbers anew. Files share a process, and a file's numbers must not depend on what ran before it. */
export function seedNumbers(): void {
  rng = new Rng(20);
}

export function normal(shape: Shape, dtype: DType = 'f32'): TestTensor {
  return {
    shape,
    dtype,
    data: fromNumbers(
      Array.from({ length: sizeOf(shape) }, () => rng.normal()),
      dtype,
    ),
  };
}

export function value(shape: Shape, numbers: ArrayLike<number>, dtype: DType = 'f32'): TestTensor {
  return { shape, dtype, data: fromNumbers(numbers, dtype) };
}

export function integers(shape: Shape, bound: number, lowest = 0): TestTensor {
  return value(
    shape,
    Array.from({ length: sizeOf(shape) }, () => lowest + rng.integer(bound - lowest)),
    'i32',
  );
}

export interface OpRun {
  outputs: Float64Array[];
  expected: Float64Array[];
}

export interface RunOpOptions {
  /** [input, output] pairs that share their memory. */
  inPlace?: readonly (readonly [number, number])[];
}

/** An op on a backend. */
export type KernelUnderTest<Name extends KernelName> = readonly [Backend, Name];

/** Runs an op on a backend and by its reference, on the very same numbers. */
export async function runOp<Name extends KernelName>(
  [backend, name]: KernelUnderTest<Name>,
  inputs: readonly TestTensor[],
  attrs: AttrsOf<Name>,
  options: RunOpOptions = {},
): Promise<OpRun> {
  return { outputs: await runAll([backend, name], inputs, attrs, options), expected: reference(name, inputs, attrs) };
}

/** The first output alone, without the reference. */
export async function run<Name extends KernelName>(
  target: KernelUnderTest<Name>,
  inputs: readonly TestTensor[],
  attrs: AttrsOf<Name>,
  options: RunOpOptions = {},
): Promise<Float64Array> {
  const [first] = await runAll(target, inputs, attrs, options);
  return first ?? new Float64Array();
}

async function runAll<Name extends KernelName>(
  [backend, name]: KernelUnderTest<Name>,
  inputs: readonly TestTensor[],
  attrs: AttrsOf<Name>,
  { inPlace = [] }: RunOpOptions,
): Promise<Float64Array[]> {
  const op = coreOps[name] as unknown as Op<Name, AttrsOf<Name>>;
  const outputs = op.infer(inputs, attrs);
  const workspaceBytes = backend.spec.workspaceBytes(name, inputs, outputs, attrs);
  const planBuffers: PlanBuffer[] = [];
  const operand = (spec: Spec, index?: number): Operand => {
    const bytes = Math.ceil((sizeOf(spec.shape) * bytesPerElement(spec.dtype)) / 4) * 4;
    const buffer = index ?? planBuffers.push({ kind: 'arena', bytes }) - 1;
    return { shape: spec.shape, dtype: spec.dtype, buffer, offset: 0, bytes };
  };
  const ins = inputs.map((input) => operand(input));
  const outs = outputs.map((output, index) => operand(output, inPlace.find(([, to]) => to === index)?.[0]));
  const workspace = workspaceBytes > 0 ? operand({ shape: [workspaceBytes], dtype: 'u8' }) : undefined;
  const buffers = planBuffers.map(({ bytes }, index) => backend.allocate(bytes, `test ${index}`));
  // What kernels do not write must show: memory starts as NaN.
  for (const buffer of buffers)
    backend.write(buffer, 0, new Uint32Array(Math.floor(buffer.bytes / 4)).fill(0x7fc00000));
  const write = (): void =>
    ins.forEach(({ buffer }, index) => {
      const [target, data] = [buffers[buffer], inputs[index]?.data];
      if (target !== undefined && data !== undefined) backend.write(target, 0, data);
    });
  const executable = await backend.prepare(
    {
      buffers: planBuffers,
      steps: [{ op: name, attrs, inputs: ins, outputs: outs, workspace, scope: '', flops: 0 }],
      inputs: [],
      scalars: [],
      outputs: outs.map((out, index) => ({ ...out, name: `${index}` })),
    },
    buffers,
  );
  let copies: ArrayBuffer[] = [];
  // Twice: a replay starts from the same records.
  for (let round = 0; round < 2; round++) {
    write();
    const { outputs: promises } = await executable.run({
      inputs: new Uint8Array(),
      scalars: new Uint8Array(),
      read: outs.map((_, index) => index),
    });
    copies = await Promise.all(promises);
  }
  executable.dispose();
  for (const buffer of buffers) buffer.destroy();
  return copies.map((copy, index) => decode(copy, outputs[index]));
}

function decode(copy: ArrayBuffer, spec: Spec | undefined): Float64Array {
  if (spec === undefined) return new Float64Array();
  return toFloat64(hostArray(spec.dtype, copy, 0, sizeOf(spec.shape)), spec.dtype);
}

/**
 * The op's reference in double precision. `map` changes the inputs first: absolute values give an error bound's
 * Σ|a||b|.
 */
export function reference<Name extends KernelName>(
  name: Name,
  inputs: readonly TestTensor[],
  attrs: AttrsOf<Name>,
  map: (x: number) => number = (x) => x,
): Float64Array[] {
  const op = coreOps[name] as unknown as Op<Name, AttrsOf<Name>>;
  const outputSpecs = op.infer(inputs, attrs);
  const outputs = outputSpecs.map(({ shape }) => new Float64Array(sizeOf(shape)));
  op.reference({
    inputs: inputs.map(({ data, dtype }) => toFloat64(data, dtype).map((x) => map(x))),
    outputs,
    inputSpecs: inputs,
    outputSpecs,
    attrs,
  });
  return outputs;
}

/** The largest |actual − expected| / (ε·scale), element by element; NaN and infinities must agree exactly. */
export function worstError(actual: Float64Array, expected: Float64Array, scale: (index: number) => number): number {
  let worst = actual.length === expected.length ? 0 : Infinity;
  expected.forEach((want, index) => {
    const got = actual[index] ?? NaN;
    if (Object.is(got, want) || got === want) return;
    const error = Math.abs(got - want) / (epsilon * Math.max(scale(index), 2 ** -126));
    worst = Number.isNaN(error) ? Infinity : Math.max(worst, error);
  });
  return worst;
}
