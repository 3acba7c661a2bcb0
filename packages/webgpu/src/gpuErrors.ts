import { LowrankError } from '@lowrank/errors';
import type { Device, ErrorOfGpu } from './gpuTypes.js';

/** The codes this package throws. */
export type WebgpuErrorCode =
  | 'webgpu.no-adapter'
  | 'webgpu.out-of-memory'
  | 'webgpu.device-lost'
  | 'webgpu.shader-failed'
  | 'webgpu.unsupported-shape'
  | 'webgpu.unsupported-op'
  | 'webgpu.device-error'
  | 'webgpu.tier'
  | 'webgpu.precision'
  | 'webgpu.disposed'
  | 'webgpu.robustness';

/**
 * Collects what WebGPU reports on the side, since an erroneous submit is dropped silently and training would go on with
 * zeros: `check()` throws the first of them, and is called at every run and read.
 */
export class GpuErrorLog {
  #errors: LowrankError[] = [];
  #lost: LowrankError | undefined;
  #pending = new Set<Promise<void>>();
  #lostListeners = new Set<(error: LowrankError) => void>();
  #expectLoss = false;

  /** Listens to a device for uncaptured errors and for its loss. */
  attach(device: Device): void {
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.add(asLowrankError(event.error));
    });
    void device.lost.then((info) => {
      if (this.#expectLoss) return;
      const error = new LowrankError({
        code: 'webgpu.device-lost',
        what: 'the WebGPU device was lost',
        got: `${info.reason || 'unknown'}: ${info.message}`,
        remedy: 'Create a new backend, and start again from the weights that were saved last.',
      });
      this.#lost = error;
      for (const listener of this.#lostListeners) listener(error);
    });
  }

  /** Tells that the device will be destroyed on purpose, so that its loss is no error. */
  expectLoss(): void {
    this.#expectLoss = true;
  }

  /** Calls back once if the device is lost. */
  onLost(listener: (error: LowrankError) => void): void {
    this.#lostListeners.add(listener);
  }

  add(error: LowrankError): void {
    // The first few say it all; a failing step repeated for hours must not fill memory.
    if (this.#errors.length < 16) this.#errors.push(error);
  }

  /** Follows an error scope around an allocation. */
  watch(scope: Promise<ErrorOfGpu | null>, descriptor: { readonly label?: string; readonly size: number }): void {
    const pending = scope.then(
      (error) => {
        if (error !== null) this.add(outOfMemory(descriptor.size, descriptor.label ?? 'a buffer', error.message));
      },
      // A scope is rejected only when the device is lost, which is reported on its own.
      () => undefined,
    );
    this.#pending.add(pending);
    void pending.then(() => this.#pending.delete(pending));
  }

  /** Throws the first collected error, a lost device before all others. */
  check(): void {
    if (this.#lost !== undefined) throw this.#lost;
    const first = this.#errors[0];
    if (first === undefined) return;
    this.#errors = [];
    throw first;
  }

  /** `check()` after every open allocation scope has answered. */
  async settle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    this.check();
  }
}

export function outOfMemory(bytes: number, what: string, message: string): LowrankError {
  return new LowrankError({
    code: 'webgpu.out-of-memory',
    what: `allocating ${bytes} bytes of GPU memory for ${what}`,
    expected: 'room on the device',
    got: message,
    remedy: 'Use a smaller batch size or maximum length, or gradient checkpointing.',
  });
}

function asLowrankError(error: GPUError): LowrankError {
  const kind = error.constructor.name;
  if (kind === 'GPUOutOfMemoryError') {
    return new LowrankError({
      code: 'webgpu.out-of-memory',
      what: 'the GPU ran out of memory',
      got: error.message,
      remedy: 'Use a smaller batch size or maximum length, or gradient checkpointing.',
    });
  }
  return new LowrankError({
    code: 'webgpu.device-error',
    what: `WebGPU reported an error (${kind})`,
    got: error.message,
    remedy: 'This is a defect in Lowrank or in the driver: please report it with this message.',
  });
}

/** The error for WGSL that does not compile: messages with the line each one is about. */
export function shaderFailed(
  label: string,
  code: string,
  messages: readonly GPUCompilationMessage[],
  fallback: string,
): LowrankError {
  const lines = code.split('\n');
  const reported = messages
    .filter((message) => message.type === 'error')
    .slice(0, 5)
    .map((message) => `line ${message.lineNum}: ${message.message}\n    ${(lines[message.lineNum - 1] ?? '').trim()}`);
  return new LowrankError({
    code: 'webgpu.shader-failed',
    what: `the shader of ${label} did not compile`,
    got: reported.length > 0 ? reported.join('\n') : fallback,
    remedy: 'This is a defect in Lowrank or in the driver: please report it with this message.',
  });
}

/** The error for a tensor or dispatch beyond what the device grants. */
export function unsupportedShape(options: {
  op: string;
  bytes: number;
  limit: number;
  limitName: string;
  remedy?: string;
}): LowrankError {
  return new LowrankError({
    code: 'webgpu.unsupported-shape',
    what: `${options.op} needs ${options.bytes} bytes in one binding`,
    expected: `at most ${options.limit} (${options.limitName})`,
    got: `${options.bytes} bytes`,
    remedy: options.remedy ?? 'Use a smaller batch size or length, or an adapter with higher limits.',
  });
}
