import type { Backend, HostArray } from '@lowrank/tensor';
import type { BackendSpec, DeviceBuffer, Executable, MemoryReport, Plan } from '@lowrank/tensor/backend';
import { BufferStore } from './buffers.js';
import { boundedTiers, cannotTrust } from './dawnFeatures.js';
import { requestDevice } from './device.js';
import type { DeviceOptions, WebgpuDevice } from './device.js';
import { prepareExecutable } from './executable.js';
import type { KernelTuning } from './choices.js';
import type { KernelEntry } from './kernel.js';
import { lowerSteps } from './lower.js';
import { LazyChoices } from './tuning/lazyChoices.js';
import type { TunerOptions } from './tuning/tunerOptions.js';
import { describeProfile, profileOf, tierOfEnvironment } from './profile.js';
import type { DeviceProfile } from './profile.js';
import { backendSpec } from './spec.js';

/** Options of `createWebgpuBackend`. */
export interface WebgpuBackendOptions extends DeviceOptions {
  /** Overrides of the kernels' own choices. */
  readonly tuning?: KernelTuning;
  /**
   * Chooses the forms of products by measuring them on the device, where it has timestamps. Default: by profile and
   * shape alone.
   */
  readonly tuner?: TunerOptions | undefined;
  /** Kernels of ops that other packages declare, by op name. */
  readonly kernels?: Readonly<Record<string, KernelEntry>>;
  /** Longest fused elementwise program; 1 turns the fusion off. */
  readonly elementwiseInstructions?: number;
  readonly matmulEpilogue?: boolean;
}

/** WebGPU as a backend of the compiler: WGSL kernels, replayed plans, one submit per run. */
export class WebgpuBackend implements Backend {
  readonly name = 'webgpu';
  readonly spec: BackendSpec;
  readonly #store: BufferStore;
  /** What kernels are chosen by. */
  readonly profile: DeviceProfile;
  readonly kernelChoices: LazyChoices;
  readonly #options: WebgpuBackendOptions;

  constructor(
    readonly device: WebgpuDevice,
    options: WebgpuBackendOptions = {},
  ) {
    this.#store = new BufferStore(device);
    const { features, adapter } = device;
    const { precision, tier = tierOfEnvironment() } = options;
    this.profile = profileOf(adapter, { features, tier, precision });
    const allocate = (bytes: number, label: string): DeviceBuffer => this.allocate(bytes, label);
    this.kernelChoices = new LazyChoices({ device, profile: this.profile, allocate }, options.tuner);
    this.#options = { ...options, tuning: { measured: this.kernelChoices.measured, ...options.tuning } };
    this.spec = backendSpec(device.limits, { ...this.#options, profile: this.profile });
  }

  get description(): string {
    const guards = this.device.robustness === 'off' ? ', robustness off' : '';
    return `${this.device.name}, ${describeProfile(this.profile)}${guards}`;
  }

  /** Choices of kernels that were made for this backend in place of its own. */
  get tuning(): KernelTuning {
    return this.#options.tuning ?? {};
  }

  get memory(): MemoryReport {
    return this.#store.report;
  }

  allocate(bytes: number, label: string): DeviceBuffer {
    return this.#store.allocate(bytes, label);
  }

  write(buffer: DeviceBuffer, offset: number, data: HostArray): void {
    this.#store.write(buffer, offset, data);
  }

  read(buffer: DeviceBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    return this.#store.read(buffer, offset, bytes);
  }

  prepare(plan: Plan, buffers: readonly DeviceBuffer[]): Promise<Executable> {
    const { profile } = this;
    const { limits } = this.device;
    const { tuning, kernels } = this.#options;
    return prepareExecutable({
      device: this.device,
      plan,
      buffers,
      launches: lowerSteps(plan, { limits, profile, tuning, kernels }),
    });
  }

  async finish(): Promise<void> {
    this.device.check();
    await this.device.gpu.queue.onSubmittedWorkDone();
    await this.device.errors.settle();
  }

  dispose(): void {
    this.device.dispose();
  }
}

/** Opens a device and puts a backend on it. Throws as {@link requestDevice}. */
export async function createWebgpuBackend(options: WebgpuBackendOptions = {}): Promise<WebgpuBackend> {
  const foreign = Object.keys(options.kernels ?? {});
  if (options.robustness === 'off' && foreign.length > 0) throw cannotTrust(`kernels of ${foreign.join(', ')}`);
  const backend = new WebgpuBackend(await requestDevice(options), options);
  const { tier } = backend.profile;
  if (options.robustness !== 'off' || boundedTiers.includes(tier)) return backend;
  backend.dispose();
  throw cannotTrust(`kernels of the tier ${tier}`);
}
