import type { Backend, Operand, PlanBuffer } from './backend.js';
import type { Scalar } from './graph.js';
import { writeNumbers } from './hostNumbers.js';
import type { DeviceBuffer } from './memory.js';
import type { Spec } from './op.js';
import type { KernelName } from './ops/index.js';
import { bytesOf } from './plan/program.js';

/** Where a value lies on a backend. */
export interface Slot {
  readonly memory: DeviceBuffer;
  /** Bytes from the start of `memory`. */
  readonly offset: number;
  readonly spec: Spec;
  /** Set for a host number: kernels take those from the scalars buffer, which costs them no binding. */
  readonly number?: Scalar;
}

/** One op with the places of its operands. */
export interface Launch {
  readonly op: KernelName;
  readonly attrs: object;
  readonly inputs: readonly Slot[];
  readonly outputs: readonly Slot[];
  readonly scope: string;
}

/** Runs one op: a plan of one step, prepared, run and let go. */
export async function launchOp(backend: Backend, { op, attrs, inputs, outputs, scope }: Launch): Promise<void> {
  const numbers = inputs.flatMap((slot) => slot.number ?? []);
  const scalars = new ArrayBuffer(16 * Math.ceil(numbers.length / 4));
  writeNumbers(numbers, scalars);
  const own = [backend.allocate(4, 'inputs'), backend.allocate(Math.max(4, scalars.byteLength), 'scalars')];
  const bindings = new Bindings(own, scalars.byteLength, numbers);
  const scratch = scratchOf(backend, { op, attrs, inputs, outputs, scope });
  if (scratch !== undefined) own.push(scratch.memory);
  const step = {
    op,
    attrs,
    inputs: inputs.map((slot) => bindings.operand(slot)),
    outputs: outputs.map((slot) => bindings.operand(slot)),
    workspace: scratch === undefined ? undefined : bindings.operand(scratch),
    scope,
    flops: 0,
  };
  const { buffers, memories } = bindings;
  const plan = { buffers, steps: [step], inputs: [], scalars: numbers, outputs: [] };
  const executable = await backend.prepare(plan, memories);
  await executable.run({ inputs: new Uint8Array(), scalars: new Uint8Array(scalars), read: [] });
  executable.dispose();
  own.forEach((buffer) => buffer.destroy());
}

/** The buffers of a plan of one step, and operands as places in them. */
class Bindings {
  readonly memories: DeviceBuffer[];
  readonly buffers: PlanBuffer[];

  constructor(
    [inputs, scalars]: readonly DeviceBuffer[],
    scalarBytes: number,
    private readonly numbers: readonly Scalar[],
  ) {
    if (inputs === undefined || scalars === undefined) throw new TypeError('two buffers');
    this.memories = [inputs, scalars];
    this.buffers = [
      { kind: 'inputs', bytes: 0 },
      { kind: 'scalars', bytes: scalarBytes },
    ];
  }

  operand({ memory, offset, spec, number }: Slot): Operand {
    if (number !== undefined) return { ...spec, buffer: 1, offset: 4 * this.numbers.indexOf(number), bytes: 4 };
    let buffer = this.memories.indexOf(memory);
    if (buffer < 0) {
      buffer = this.memories.push(memory) - 1;
      this.buffers.push({ kind: 'arena', bytes: memory.bytes });
    }
    return { ...spec, buffer, offset, bytes: bytesOf(spec) };
  }
}

function scratchOf(backend: Backend, { op, attrs, inputs, outputs }: Launch): Slot | undefined {
  const bytes = backend.spec.workspaceBytes(
    op,
    inputs.map((slot) => slot.spec),
    outputs.map((slot) => slot.spec),
    attrs,
  );
  if (bytes === 0) return undefined;
  const spec: Spec = { shape: [Math.ceil(bytes / 4)], dtype: 'u32' };
  return { memory: backend.allocate(bytes, 'workspace'), offset: 0, spec };
}
