import { LowrankError } from '@lowrank/errors';
import type { Backend, BackendSpec, Executable, Operand, Plan, RunRequest, Step } from './backend.js';
import type { DeviceBuffer } from './memory.js';
import type { HostArray } from './dtype.js';
import { fromNumbers, hostArray, toFloat64 } from './dtype.js';
import type { Op, Spec } from './op.js';
import { coreOps } from './ops/index.js';
import { sizeOf } from './shape.js';

class HostBuffer implements DeviceBuffer {
  readonly data: ArrayBuffer;
  alive = true;

  constructor(
    readonly bytes: number,
    private readonly onDestroy: (buffer: HostBuffer) => void,
  ) {
    this.data = new ArrayBuffer(Math.ceil(bytes / 8) * 8);
  }

  destroy(): void {
    if (!this.alive) return;
    this.alive = false;
    this.onDestroy(this);
  }
}

const defaultSpec: BackendSpec = {
  alignment: 256,
  maxBufferBytes: 2 ** 28,
  maxBindingBytes: 2 ** 27,
  maxOperands: 8,
  separateReadWrite: true,
  fusion: { elementwiseInstructions: 32, matmulEpilogue: true, absorption: true, remaking: true },
  workspaceBytes: () => 0,
};

/**
 * A backend that replays plans with the ops' plain references: slow, exact up to one rounding to f32 per op, and
 * strict. It refuses what a GPU would refuse: misaligned or overlapping operands, slices of one buffer both read and
 * written. The planner's tests run on it.
 */
export class ReferenceBackend implements Backend {
  readonly name = 'reference';
  readonly description = 'plain references in double precision';
  readonly spec: BackendSpec;
  private readonly live = new Set<HostBuffer>();
  private peak = 0;

  constructor(spec: Partial<BackendSpec> = {}) {
    this.spec = { ...defaultSpec, ...spec };
  }

  get memory(): { buffers: number; bytes: number; peakBytes: number } {
    const bytes = [...this.live].reduce((total, buffer) => total + buffer.bytes, 0);
    return { buffers: this.live.size, bytes, peakBytes: this.peak };
  }

  allocate(bytes: number): DeviceBuffer {
    const buffer = new HostBuffer(bytes, (gone) => this.live.delete(gone));
    this.live.add(buffer);
    this.peak = Math.max(this.peak, this.memory.bytes);
    return buffer;
  }

  write(buffer: DeviceBuffer, offset: number, data: HostArray): void {
    new Uint8Array(memoryOf(buffer)).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
  }

  read(buffer: DeviceBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    return Promise.resolve(memoryOf(buffer).slice(offset, offset + bytes));
  }

  prepare(plan: Plan, buffers: readonly DeviceBuffer[]): Promise<Executable> {
    plan.steps.forEach((step) => checkStep(step, plan, this.spec));
    return Promise.resolve({
      run: (request: RunRequest) => {
        runPlan(plan, buffers.map(memoryOf), request);
        const outputs = request.read.map((at) => {
          const { buffer, offset, bytes } = plan.outputs[at] ?? { buffer: 0, offset: 0, bytes: 0 };
          return this.read(buffers[buffer] ?? new HostBuffer(0, () => undefined), offset, bytes);
        });
        return Promise.resolve({ outputs });
      },
      dispose: () => undefined,
    });
  }

  finish(): Promise<void> {
    return Promise.resolve();
  }

  dispose(): void {
    for (const buffer of this.live) buffer.destroy();
  }
}

function memoryOf(buffer: DeviceBuffer): ArrayBuffer {
  if (buffer instanceof HostBuffer && buffer.alive) return buffer.data;
  throw new LowrankError({
    code: 'tensor.disposed',
    what: 'a buffer of the reference backend',
    expected: 'a live one',
    got: 'a destroyed one',
  });
}

function runPlan(plan: Plan, memories: readonly ArrayBuffer[], { inputs, scalars }: RunRequest): void {
  plan.buffers.forEach(({ kind }, at) => {
    const data = kind === 'inputs' ? inputs : kind === 'scalars' ? scalars : undefined;
    const memory = memories[at];
    if (data !== undefined && memory !== undefined) new Uint8Array(memory).set(data);
  });
  const arrayOf = ({ buffer, offset, shape, dtype }: Operand): HostArray =>
    hostArray(dtype, memories[buffer] ?? new ArrayBuffer(0), offset, sizeOf(shape));
  for (const { op, attrs, inputs: operands, outputs } of plan.steps) {
    const results = outputs.map(({ shape }) => new Float64Array(sizeOf(shape)));
    // oxlint-disable-next-line typescript/no-explicit-any -- attributes are typed per op; a plan holds ops of all kinds
    const declared = coreOps[op] as Op<string, any>;
    declared.reference({
      inputs: operands.map((operand) => toFloat64(arrayOf(operand), operand.dtype)),
      outputs: results,
      inputSpecs: operands,
      outputSpecs: outputs,
      attrs,
    });
    outputs.forEach((operand, at) => arrayOf(operand).set(fromNumbers(results[at] ?? [], operand.dtype)));
  }
}

/** What a GPU's validation would refuse, and what in-place rules forbid. */
function checkStep({ op, attrs, inputs, outputs, workspace }: Step, plan: Plan, spec: BackendSpec): void {
  const fail = (got: string): never => {
    throw new LowrankError({
      code: 'tensor.plan',
      what: `a planned ${op}`,
      expected: 'aligned operands that do not get in each other’s way',
      got,
    });
  };
  // oxlint-disable-next-line typescript/no-explicit-any -- as above
  const declared = (coreOps[op] as Op<string, any>).inPlace;
  const pairs = typeof declared === 'function' ? declared(attrs) : (declared ?? []);
  const written = [...outputs, ...(workspace === undefined ? [] : [workspace])];
  for (const operand of [...inputs, ...written]) {
    const scalar = plan.buffers[operand.buffer]?.kind === 'scalars';
    if (operand.offset % (scalar ? 4 : spec.alignment) !== 0) fail(`offset ${operand.offset}`);
    if (operand.offset + operand.bytes > (plan.buffers[operand.buffer]?.bytes ?? 0))
      fail('an operand beyond its buffer');
  }
  written.forEach((output, to) => {
    inputs.forEach((input, from) => {
      if (input.buffer !== output.buffer) return;
      const same = input.offset === output.offset && sizeOf(input.shape) === sizeOf(output.shape);
      if (same && pairs.some(([a, b]) => a === from && b === to)) return;
      if (
        same &&
        inputs.some(
          (other, at) =>
            other.offset === input.offset &&
            other.buffer === input.buffer &&
            pairs.some(([a, b]) => a === at && b === to),
        )
      )
        return;
      // What is written over itself is bound for writing, like the rest of its buffer.
      const changed = pairs.some(([at, by]) => at === from && sameSlice(input, outputs[by]));
      if ((spec.separateReadWrite && !changed) || overlap(input, output))
        fail(`input ${from} and output ${to} in buffer ${input.buffer}`);
    });
    if (written.some((other, at) => at > to && other.buffer === output.buffer && overlap(other, output)))
      fail('overlapping outputs');
  });
}

function sameSlice(a: Operand, b: Operand | undefined): boolean {
  return a.buffer === b?.buffer && a.offset === b.offset && a.bytes === b.bytes;
}

function overlap(a: Spec & Operand, b: Spec & Operand): boolean {
  return a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}
