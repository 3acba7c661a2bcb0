import { LowrankError } from '@lowrank/errors';
import { adapterName, describeGpuAdapter, gpuEntry, readLimits } from './adapters.js';
import type { AdapterDescription } from './adapters.js';
import { defaultLimits } from './constants.js';
import type { LimitName, Limits } from './constants.js';
import { countCalls, newCounters } from './counters.js';
import type { Counters } from './counters.js';
import type { Robustness } from './dawnFeatures.js';
import { GpuErrorLog } from './gpuErrors.js';
import { PipelineCache } from './pipelines.js';
import { neededFeatures, requestedFeatures, withDawnFeatures } from './deviceFeatures.js';
import type { Precision } from '@lowrank/tensor/backend';
import { withoutHalf } from './profile.js';
import type { Tier } from './profile.js';
import { subgroupsAreInOrder } from './subgroupProbe.js';
import type { Device } from './gpuTypes.js';

/** Which WebGPU adapter is taken. */
export interface DeviceOptions {
  readonly powerPreference?: 'low-power' | 'high-performance';
  /** Accept an adapter that computes on the CPU (default true: naming WebGPU is enough). `auto` passes false. */
  readonly allowSoftware?: boolean;
  /** Refuses adapters for which it returns false. */
  readonly adapterFilter?: (adapter: AdapterDescription) => boolean;
  /**
   * Kernels of this tier, in place of the best one that the adapter reaches (of software: `registers`). The environment
   * variable `LOWRANK_KERNELS` does the same. Fails with `webgpu.no-adapter` where the adapter lacks its features.
   */
  readonly tier?: Tier;
  /**
   * What matrix products round their operands to: nothing (`f32`, the default), or 16 bits (`mixed`), on the GPU's
   * matrix units where it offers them. Fails with `webgpu.precision` where the adapter has no `shader-f16`.
   */
  readonly precision?: Precision;
  /**
   * `adapter` (default) asks for all the adapter has; `default` for WebGPU's default limits and only the features that
   * `tier` needs, as the tests do.
   */
  readonly limits?: 'adapter' | 'default';
  /** Options of Dawn's `create()`, in Node only: `adapter=NAME`, `backend=vulkan`, `enable-dawn-features=a,b`. */
  readonly dawnOptions?: readonly string[];
  /**
   * `off`, in Node only: kernels run without the guards that Dawn puts around each index, which takes a third of the
   * instructions of a product. Lowrank's own kernels are tested to need none. Default `on`.
   */
  readonly robustness?: Robustness | undefined;
}

/** A WebGPU device with what the backend needs to know of it. Dispose it: the process cannot see GPU memory. */
export class WebgpuDevice {
  readonly counters: Counters = newCounters();
  readonly errors = new GpuErrorLog();
  readonly limits: Limits;
  readonly features: ReadonlySet<string>;
  readonly pipelines: PipelineCache;
  /** Whether indices of kernels are guarded. */
  readonly robustness: Robustness;
  #disposed = false;

  constructor(
    readonly gpu: Device,
    readonly adapter: AdapterDescription,
    {
      distrusted = [],
      robustness = 'on',
    }: {
      /** Features of the device that kernels shall not use. */
      readonly distrusted?: readonly string[];
      readonly robustness?: Robustness | undefined;
    } = {},
  ) {
    this.robustness = robustness;
    this.limits = readLimits(gpu.limits);
    this.features = new Set([...gpu.features].filter((feature) => !distrusted.includes(feature)));
    this.errors.attach(gpu);
    countCalls(gpu, this.counters, this.errors);
    this.pipelines = new PipelineCache(gpu);
  }

  /** The adapter's name for people. */
  get name(): string {
    return adapterName(this.adapter);
  }

  get software(): boolean {
    return this.adapter.software;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Throws what WebGPU reported since the last check, or `webgpu.disposed`. */
  check(): void {
    if (this.#disposed)
      throw new LowrankError({
        code: 'webgpu.disposed',
        what: 'the WebGPU device was used after dispose()',
        remedy: 'Create a new backend.',
      });
    this.errors.check();
  }

  /** Destroys the device and all its memory. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.errors.expectLoss();
    this.gpu.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Finds an adapter and opens a device on it, in a browser or in Node. Throws `webgpu.no-adapter` when the peer `webgpu`
 * is missing in Node, when there is no adapter, and when none passes the options.
 */
export async function requestDevice(options: DeviceOptions = {}): Promise<WebgpuDevice> {
  const gpu = await gpuEntry(withDawnFeatures(options.dawnOptions, options), options.robustness);
  const adapter = await gpu.requestAdapter({ powerPreference: options.powerPreference ?? 'high-performance' });
  if (adapter === null) {
    throw new LowrankError({
      code: 'webgpu.no-adapter',
      what: 'no WebGPU adapter was found',
      expected: 'a GPU with a Vulkan, Metal or D3D12 driver, or a software driver (VK_DRIVER_FILES)',
      remedy: 'Install the GPU driver, run `lowrank doctor`, or choose the cpu backend.',
    });
  }
  const description = describeGpuAdapter(adapter);
  refuse(description, options);
  const wanted = options.limits === 'default' ? undefined : description;
  const device = await adapter.requestDevice({
    label: 'lowrank',
    requiredFeatures: requestedFeatures(adapter.features, options),
    requiredLimits: wanted === undefined ? {} : largestLimits(wanted.limits),
  });
  const probed = device.features.has('subgroups') && (!description.software || neededFeatures(options).length > 0);
  const inOrder = !probed || (await subgroupsAreInOrder(device));
  return new WebgpuDevice(device, description, {
    distrusted: inOrder ? [] : ['subgroups'],
    robustness: options.robustness,
  });
}

function refuse(adapter: AdapterDescription, options: DeviceOptions): void {
  const missing = neededFeatures(options).filter((feature) => !adapter.features.includes(feature));
  if (
    options.precision === 'mixed' &&
    missing.includes('shader-f16') &&
    !(adapter.software && options.allowSoftware === false)
  )
    throw withoutHalf(adapterName(adapter));
  const complaint =
    adapter.software && options.allowSoftware === false
      ? 'a software adapter, which the cpu backend outruns'
      : options.adapterFilter !== undefined && !options.adapterFilter(adapter)
        ? 'an adapter that adapterFilter refuses'
        : missing.length > 0
          ? `an adapter without ${missing.join(', ')}`
          : undefined;
  if (complaint === undefined) return;
  throw new LowrankError({
    code: 'webgpu.no-adapter',
    what: 'no fitting WebGPU adapter was found',
    expected:
      `${options.allowSoftware === false ? 'a real GPU' : 'an adapter'} of tier ` + `${options.tier ?? 'portable'}`,
    got: `${adapterName(adapter)}: ${complaint}`,
    remedy: 'Run `lowrank doctor` to see what there is, or choose the cpu backend.',
  });
}

function largestLimits(limits: Limits): Record<string, number> {
  const names = (Object.keys(defaultLimits) as LimitName[]).filter((name) => name.startsWith('max'));
  return Object.fromEntries(names.map((name) => [name, limits[name]]));
}
