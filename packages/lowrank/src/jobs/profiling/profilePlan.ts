import { LowrankError } from '@lowrank/errors';
import type { Backend } from '@lowrank/tensor';
import type { DeviceBuffer, Executable, Plan, PlanBuffer, ProfiledRun, Operand } from '@lowrank/tensor/backend';
import { toBf16, toF16 } from '@lowrank/tensor/op';

/** Arguments by name: the bytes of each. */
export type PlanInputs = Readonly<Record<string, { readonly data: ArrayBufferView }>>;

/** A plan, launch by launch, and as a whole. */
export interface ProfiledPlan extends ProfiledRun {
  /** Milliseconds of a run as training does it: one submit, no launch timed. */
  readonly wholeMilliseconds: number;
}

/**
 * Runs a plan over memory of its own that holds small numbers, and times it: no weights are read and none is changed. A
 * launch's time is its shortest of `repeats` runs, and the plan is run once before any.
 */
export async function profilePlan(
  backend: Backend,
  plan: Plan,
  { inputs = {}, repeats = 3 }: { readonly inputs?: PlanInputs; readonly repeats?: number } = {},
): Promise<ProfiledPlan> {
  const buffers = plan.buffers.map(({ bytes, kind }) => backend.allocate(Math.max(4, bytes), kind));
  let executable: Executable | undefined;
  try {
    fill(backend, plan, buffers);
    executable = await backend.prepare(plan, buffers);
    const request = { inputs: argumentBytes(plan, inputs), scalars: scalarBytes(plan) };
    return await timed(backend, executable, { request, repeats });
  } finally {
    await backend.finish();
    executable?.dispose();
    for (const buffer of buffers) buffer.destroy();
  }
}

async function timed(
  backend: Backend,
  executable: Executable,
  { request, repeats }: { readonly request: { inputs: Uint8Array; scalars: Uint8Array }; readonly repeats: number },
): Promise<ProfiledPlan> {
  const run = async (): Promise<number> => {
    const start = performance.now();
    await executable.run({ ...request, read: [] });
    await backend.finish();
    return performance.now() - start;
  };
  await run();
  let wholeMilliseconds = Infinity;
  for (let turn = 0; turn < repeats; turn++) wholeMilliseconds = Math.min(wholeMilliseconds, await run());
  const runs: ProfiledRun[] = [];
  for (let turn = 0; turn < repeats; turn++) {
    const profiled = await executable.profile?.(request);
    if (profiled === undefined)
      throw new LowrankError({
        code: 'profile.backend',
        what: 'a profile',
        expected: 'the cpu backend or a webgpu one',
        got: backend.name,
        remedy: 'Take a device of the command line, or give the backend’s executables the method profile.',
      });
    runs.push(profiled);
  }
  const [first] = runs;
  if (first === undefined) throw new TypeError('a profile is of one run at least');
  const launches = first.launches.map((launch, at) => ({
    ...launch,
    milliseconds: Math.min(...runs.map((each) => each.launches[at]?.milliseconds ?? Infinity)),
  }));
  return { clock: first.clock, launches, wholeMilliseconds };
}

function fill(backend: Backend, plan: Plan, buffers: readonly DeviceBuffer[]): void {
  const dtypes = new Map<number, Operand>();
  for (const { inputs, outputs } of plan.steps)
    for (const operand of [...inputs, ...outputs]) if (!dtypes.has(operand.buffer)) dtypes.set(operand.buffer, operand);
  for (const [at, { kind, bytes }] of plan.buffers.entries()) {
    const buffer = buffers[at];
    if (buffer !== undefined && holdsTensors(kind)) fillBuffer(backend, buffer, bytes, dtypes.get(at));
  }
}

const holdsTensors = (kind: PlanBuffer['kind']): boolean => kind === 'source' || kind === 'argument';

/** A few pages of numbers, over and over: what they are changes no time, but denormal ones and NaN might. */
function fillBuffer(backend: Backend, buffer: DeviceBuffer, bytes: number, operand: Operand | undefined): void {
  const pattern = new Uint8Array(patternOf(operand).buffer);
  for (let offset = 0; offset < bytes; offset += pattern.byteLength)
    backend.write(
      buffer,
      offset,
      pattern.subarray(0, Math.min(pattern.byteLength, 4 * Math.ceil((bytes - offset) / 4))),
    );
}

const patternLength = 2 ** 16;

function patternOf(operand: Operand | undefined): Float32Array | Uint16Array | Uint32Array {
  // Vectors are norms' weights, scales of codes and moments: none is below 0.
  const isVector = (operand?.shape.length ?? 0) < 2;
  const values = Float32Array.from({ length: patternLength }, (_, at) => {
    const fraction = ((at * 2_654_435_761) % 4_294_967_296) / 4_294_967_296;
    return 0.02 * (isVector ? 0.5 + fraction : fraction - 0.5);
  });
  if (operand === undefined || operand.dtype === 'f32') return values;
  if (operand.dtype === 'bf16') return Uint16Array.from(values, toBf16);
  if (operand.dtype === 'f16') return Uint16Array.from(values, toF16);
  return Uint32Array.from({ length: patternLength }, (_, at) => (at * 2_654_435_761) >>> 0);
}

function argumentBytes(plan: Plan, inputs: PlanInputs): Uint8Array {
  const whole = new Uint8Array(plan.buffers.find(({ kind }) => kind === 'inputs')?.bytes ?? 0);
  for (const { name, offset, bytes, dtype } of plan.inputs) {
    const data = inputs[name]?.data;
    const given =
      data === undefined
        ? dtype === 'f32'
          ? new Uint8Array(new Float32Array(bytes / 4).fill(0.01).buffer)
          : new Uint8Array(bytes)
        : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    whole.set(given.subarray(0, bytes), offset);
  }
  return whole;
}

function scalarBytes(plan: Plan): Uint8Array {
  const bytes = new Uint8Array(plan.buffers.find(({ kind }) => kind === 'scalars')?.bytes ?? 0);
  const view = new DataView(bytes.buffer);
  plan.scalars.forEach(({ value, dtype }, at) => {
    if (dtype === 'f32') view.setFloat32(4 * at, value, true);
    else view.setInt32(4 * at, value, true);
  });
  return bytes;
}
