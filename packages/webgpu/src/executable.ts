import { LowrankError } from '@lowrank/errors';
import type { DeviceBuffer, Executable, Plan, ProfiledRun, RunRequest, Step } from '@lowrank/tensor/backend';
import { own, roundUp, upload } from './buffers.js';
import type { WebgpuDevice } from './device.js';
import { unsupportedShape } from './gpuErrors.js';
import { BufferUsage } from './constants.js';
import { parameters } from './kernel.js';
import type { Binding, KernelDispatch } from './kernel.js';
import { timeLaunches } from './launchTimes.js';
import type { Launch } from './lower.js';
import type { Pipeline, PipelineCache } from './pipelines.js';
import { StagingRing } from './stagingRing.js';
import type { Readable } from './stagingRing.js';

interface Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
  readonly label: string;
  /** Index into the plan's steps. */
  readonly step: number;
  /** Bytes that it binds. */
  readonly bytes: number;
}

/** Submitted runs without a read-back, before `run` waits for the device. */
const inFlight = 8;

/**
 * Checks every dispatch of a plan against the device's limits, compiles all pipelines together and makes the bind
 * groups, once.
 */
export async function prepareExecutable(options: {
  device: WebgpuDevice;
  plan: Plan;
  buffers: readonly DeviceBuffer[];
  launches: readonly Launch[];
  /** Default: the device's own. */
  pipelines?: PipelineCache;
}): Promise<WebgpuExecutable> {
  const { device, plan, launches, pipelines: cache = device.pipelines } = options;
  device.check();
  const buffers = options.buffers.map((buffer) => own(buffer).gpu);
  for (const { launch, step } of launches) checkLaunch(launch, step, device);
  const pipelines = await Promise.all(
    launches.map(({ launch: { code, label, bindings } }) =>
      cache.get({ code, label, access: bindings.map(({ access }) => access) }),
    ),
  );
  const scalarBytes = plan.buffers.find(({ kind }) => kind === 'scalars')?.bytes ?? 0;
  const parameterTable = makeParameters(
    device,
    scalarBytes,
    launches.map(({ launch }) => launch),
  );
  const groups = new Map<string, GPUBindGroup>();
  const places = new Map(plan.steps.map((step, at) => [step, at]));
  const dispatches = launches.map(({ launch, step }, at): Dispatch => {
    const made = pipelines[at];
    if (made === undefined) throw new TypeError('a launch without a pipeline');
    return {
      pipeline: made.pipeline,
      bindGroup: bindGroupOf(launch, made, { device, buffers, parameterTable, groups }),
      workgroups: launch.workgroups,
      label: launch.label,
      step: places.get(step) ?? 0,
      bytes: launch.bindings.reduce((sum, { access, bytes }) => sum + (access === 'uniform' ? 0 : bytes), 0),
    };
  });
  await device.errors.settle();
  return new WebgpuExecutable({ device, plan, buffers, dispatches, parameterBuffer: parameterTable.buffer });
}

/** The executable's uniform buffer: the scalars, written at every run, and the sizes of each dispatch, written once. */
interface ParameterTable {
  readonly buffer: GPUBuffer | undefined;
  readonly offsets: ReadonlyMap<string, number>;
}

/** Uniform slices start at multiples of this on every device. */
const uniformAlignment = 256;

function makeParameters(
  device: WebgpuDevice,
  scalarBytes: number,
  launches: readonly KernelDispatch[],
): ParameterTable {
  const offsets = new Map<string, number>();
  const sizes: { at: number; values: readonly number[] }[] = [];
  let end = roundUp(scalarBytes, uniformAlignment);
  for (const { bindings } of launches) {
    for (const { sizes: values } of bindings) {
      if (values === undefined || offsets.has(values.join(':'))) continue;
      offsets.set(values.join(':'), end);
      sizes.push({ at: end, values });
      end += roundUp(16 * Math.ceil(values.length / 4), uniformAlignment);
    }
  }
  if (end === 0) return { buffer: undefined, offsets };
  const words = new Uint32Array(end / 4);
  for (const { at, values } of sizes) words.set(values, at / 4);
  const buffer = device.gpu.createBuffer({
    label: 'parameters',
    size: end,
    usage: BufferUsage.uniform | BufferUsage.copyDst,
  });
  device.gpu.queue.writeBuffer(buffer, 0, words);
  return { buffer, offsets };
}

interface BindScene {
  readonly device: WebgpuDevice;
  readonly buffers: readonly GPUBuffer[];
  readonly parameterTable: ParameterTable;
  readonly groups: Map<string, GPUBindGroup>;
}

function bindGroupOf(launch: KernelDispatch, { layout }: Pipeline, scene: BindScene): GPUBindGroup {
  const key = launch.bindings
    .map(
      ({ buffer, offset, bytes, access, sizes }) => `${buffer}:${offset}:${bytes}:${access}:${sizes?.join('x') ?? ''}`,
    )
    .join();
  const known = scene.groups.get(key);
  if (known !== undefined) return known;
  const entries = launch.bindings.map(({ buffer: index, offset: start, bytes, sizes }, binding) => {
    const buffer = index === parameters ? scene.parameterTable.buffer : scene.buffers[index];
    const offset = sizes === undefined ? start : (scene.parameterTable.offsets.get(sizes.join(':')) ?? 0);
    if (buffer === undefined) throw new TypeError(`the plan has no buffer ${index}`);
    return { binding, resource: { buffer, offset, size: bindingSize(bytes, buffer.size - offset) } };
  });
  const made = scene.device.gpu.createBindGroup({ label: launch.label, layout, entries });
  scene.groups.set(key, made);
  return made;
}

/** Bindings end on whole words; a value's padding belongs to it. */
function bindingSize(bytes: number, room: number): number {
  return Math.min(roundUp(Math.max(bytes, 4), 16), room);
}

function checkLaunch({ label, bindings, workgroups }: KernelDispatch, step: Step, { limits }: WebgpuDevice): void {
  const op = step.scope === '' ? label : `${label} in ${step.scope}`;
  const storage = bindings.filter(({ access }) => access !== 'uniform');
  for (const { bytes } of storage) {
    if (bytes > limits.maxStorageBufferBindingSize) {
      throw unsupportedShape({
        op,
        bytes,
        limit: limits.maxStorageBufferBindingSize,
        limitName: 'maxStorageBufferBindingSize',
      });
    }
  }
  const misplaced = bindings.find((binding: Binding) => binding.offset % limits.minStorageBufferOffsetAlignment !== 0);
  const groups = Math.max(...workgroups);
  const complaint =
    misplaced !== undefined
      ? {
          what: `an operand of ${op}`,
          expected: `an offset in multiples of ${limits.minStorageBufferOffsetAlignment}`,
          got: `${misplaced.offset}`,
        }
      : storage.length > limits.maxStorageBuffersPerShaderStage
        ? {
            what: op,
            expected: `at most ${limits.maxStorageBuffersPerShaderStage} storage buffers`,
            got: `${storage.length}`,
          }
        : groups > limits.maxComputeWorkgroupsPerDimension
          ? {
              what: op,
              expected: `at most ${limits.maxComputeWorkgroupsPerDimension} workgroups per dimension`,
              got: workgroups.join('x'),
            }
          : undefined;
  if (complaint !== undefined)
    throw new LowrankError({
      code: 'webgpu.unsupported-shape',
      ...complaint,
      remedy: 'Use a smaller batch size or length, or an adapter with higher limits.',
    });
}

/**
 * A prepared plan: a run writes the inputs, walks the dispatches in one pass, copies results to staging and submits
 * once.
 */
export class WebgpuExecutable implements Executable {
  readonly #device: WebgpuDevice;
  readonly #dispatches: readonly Dispatch[];
  readonly #inputs: GPUBuffer | undefined;
  readonly #scalars: GPUBuffer | undefined;
  readonly #parameters: GPUBuffer | undefined;
  readonly #outputs: readonly Readable[];
  readonly #ring: StagingRing;
  #queue: Promise<unknown> = Promise.resolve();
  #unread: Promise<unknown>[] = [];

  constructor(parts: {
    device: WebgpuDevice;
    plan: Plan;
    buffers: readonly GPUBuffer[];
    dispatches: readonly Dispatch[];
    parameterBuffer: GPUBuffer | undefined;
  }) {
    const { device, plan, buffers, dispatches } = parts;
    this.#parameters = parts.parameterBuffer;
    this.#device = device;
    this.#dispatches = dispatches;
    this.#inputs = buffers[plan.buffers.findIndex(({ kind }) => kind === 'inputs')];
    this.#scalars = buffers[plan.buffers.findIndex(({ kind }) => kind === 'scalars')];
    this.#outputs = plan.outputs.flatMap(({ buffer: index, offset, bytes }) => {
      const buffer = buffers[index];
      return buffer === undefined ? [] : [{ buffer, offset, bytes }];
    });
    this.#ring = new StagingRing(device, this.#outputs);
  }

  /** What one run dispatches, in order: for dumps and tests. */
  get labels(): readonly string[] {
    return this.#dispatches.map(({ label }) => label);
  }

  run(request: RunRequest): Promise<{ readonly outputs: Promise<ArrayBuffer>[] }> {
    // Runs are submitted in the order of the calls, also when one has to wait for a staging slot.
    const result = this.#queue.then(() => this.#run(request));
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #run({ inputs, scalars, read }: RunRequest): Promise<{ readonly outputs: Promise<ArrayBuffer>[] }> {
    const device = this.#device;
    device.check();
    const values = read.map((index) => this.#output(index));
    const slot = values.length === 0 ? undefined : await this.#ring.take();
    if (slot === undefined) await this.#relieve();
    device.check();
    const { gpu } = device;
    this.#upload(inputs, scalars);
    const encoder = gpu.createCommandEncoder();
    this.#encode(encoder);
    if (slot !== undefined) this.#ring.copy(encoder, slot, values);
    gpu.queue.submit([encoder.finish()]);
    device.counters.dispatches += this.#dispatches.length;
    if (slot === undefined) {
      this.#unread.push(gpu.queue.onSubmittedWorkDone().catch(() => undefined));
      return { outputs: [] };
    }
    const all = this.#ring.read(slot, values);
    return {
      outputs: values.map((_, at) => {
        const one = all.then((results) => results[at] ?? new ArrayBuffer(0));
        // A caller that drops a result must not crash the process; the error is thrown again at the next run.
        one.catch(() => undefined);
        return one;
      }),
    };
  }

  #encode(encoder: GPUCommandEncoder): void {
    const pass = encoder.beginComputePass();
    this.dispatch(pass);
    pass.end();
  }

  /** All launches, in order, as part of a pass of the caller's. */
  dispatch(pass: GPUComputePassEncoder): void {
    let current: GPUComputePipeline | undefined;
    for (const { pipeline, bindGroup, workgroups } of this.#dispatches) {
      if (pipeline !== current) pass.setPipeline(pipeline);
      current = pipeline;
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(workgroups[0], workgroups[1], workgroups[2]);
    }
  }

  profile({ inputs, scalars }: Omit<RunRequest, 'read'>): Promise<ProfiledRun> {
    const result = this.#queue.then(() => {
      this.#device.check();
      this.#upload(inputs, scalars);
      return timeLaunches(
        this.#device,
        this.#dispatches.map(({ pipeline, bindGroup, workgroups, label: kernel, step, bytes }) => ({
          kernel,
          step,
          bytes,
          encode(pass) {
            pass.setPipeline(pipeline);
            pass.setBindGroup(0, bindGroup);
            pass.dispatchWorkgroups(...workgroups);
          },
        })),
      );
    });
    this.#queue = result.catch(() => undefined);
    return result;
  }

  #upload(inputs: Uint8Array, scalars: Uint8Array): void {
    const { gpu } = this.#device;
    if (this.#inputs !== undefined) upload(gpu, this.#inputs, 0, inputs);
    if (this.#scalars !== undefined) upload(gpu, this.#scalars, 0, scalars);
    if (this.#parameters !== undefined) upload(gpu, this.#parameters, 0, scalars);
  }

  #output(index: number): Readable {
    const output = this.#outputs[index];
    if (output === undefined) throw new RangeError(`the plan has no output ${index}`);
    return output;
  }

  /** Waits while too many unread runs are on the device. */
  async #relieve(): Promise<void> {
    while (this.#unread.length >= inFlight) await this.#unread.shift();
  }

  dispose(): void {
    this.#ring.destroy();
    this.#parameters?.destroy();
  }
}
