import { isLowrankError, LowrankError } from '@lowrank/errors';
import type { Backend } from '@lowrank/tensor';
import type { Precision } from '@lowrank/tensor/backend';
import type { Robustness, TunedEvent } from '@lowrank/webgpu';
import { tuningStore } from './tuningStore.js';

export const devices = ['auto', 'webgpu', 'cpu'] as const;
/** `auto` (a real GPU, else the CPU), `webgpu` or `cpu`. */
export type DeviceName = (typeof devices)[number];

/**
 * A backend, or a way to one: it is opened when the work begins, after all that could be wrong with the input has been
 * looked at.
 */
export type BackendOrOpener = Backend | ((needs: BackendNeeds) => Promise<Backend>);

/** What a backend is wanted for. */
export interface BackendNeeds {
  /** What its matrix products round their operands to. Default: `f32` of a backend by name, else as it is. */
  readonly precision?: Precision | undefined;
}

/** @throws LowrankError as {@link checkPrecision} */
export async function openBackend(backend: BackendOrOpener, { precision }: BackendNeeds = {}): Promise<Backend> {
  const opened = typeof backend === 'function' ? await backend({ precision }) : backend;
  checkPrecision(opened, precision);
  return opened;
}

/** The backend, opened when it is first asked for, and once. */
export function backendOnce(backend: BackendOrOpener, needs: BackendNeeds = {}): () => Promise<Backend> {
  let opened: Promise<Backend> | undefined;
  return () => (opened ??= openBackend(backend, needs));
}

/**
 * That a backend computes in the precision that is asked for.
 *
 * @throws LowrankError `lowrank.precision`
 */
export function checkPrecision({ name, description, spec }: Backend, precision: Precision | undefined): void {
  const { precision: own = 'f32' } = spec;
  if (precision === undefined || precision === own) return;
  throw new LowrankError({
    code: 'lowrank.precision',
    what: (names) => names('precision', precision),
    expected: precision === 'mixed' ? 'a WebGPU device with 16-bit floats (shader-f16)' : 'a backend in f32',
    got: own === 'mixed' ? 'one that was opened in mixed precision' : `${name}, ${description}`,
    remedy: (names) =>
      name === 'cpu'
        ? `Leave ${names('precision')} out: the CPU computes in f32.`
        : `Choose it where the device is opened: loadModel(source, { precision: '${precision}' }).`,
    setting: 'precision',
  });
}

/** How a device is opened; what says nothing to the one that is taken is left out. */
export interface DeviceChoices {
  /** `off`: kernels on Dawn in Node run without the guards around their indices (docs/devices.md). Default `on`. */
  readonly robustness?: Robustness | undefined;
  /**
   * Whether a GPU's kernels are chosen by measuring them, for a few seconds once for each device and model
   * (docs/devices.md). Default true. A run that goes on from a checkpoint keeps the choices that it has.
   */
  readonly tune?: boolean | undefined;
}

/** Told what was measured. */
export interface TuningEvents {
  readonly onTuned?: ((event: TunedEvent) => void) | undefined;
}

/** The backend that a device's name led to. */
export interface ChosenBackend {
  readonly backend: Backend;
  /** For people: why this one, where `auto` had to do without a GPU. */
  readonly note: string | undefined;
}

/**
 * `auto` takes a real GPU if there is one, else the CPU: a software adapter is several times slower than the cpu
 * backend, and is used only where `webgpu` asks for whatever adapter there is.
 *
 * @throws LowrankError `webgpu.no-adapter` with `webgpu`; `webgpu.precision` and `lowrank.precision` for `mixed`
 *   without 16-bit floats; `webgpu.robustness` where `off` cannot be had; `cli.device` for any other name
 */
export async function chooseBackend(
  device: DeviceName = 'auto',
  choices: BackendNeeds & DeviceChoices & TuningEvents = {},
): Promise<ChosenBackend> {
  if (!devices.includes(device))
    throw new LowrankError({ code: 'cli.device', what: '--device', expected: devices.join(', '), got: device });
  if (device === 'cpu') return { backend: await openCpu(choices.precision), note: undefined };
  if (device === 'webgpu') return { backend: await openWebgpu(choices), note: undefined };
  try {
    return { backend: await openWebgpu({ ...choices, allowSoftware: false }), note: undefined };
  } catch (error) {
    if (!isLowrankError(error) || error.code !== 'webgpu.no-adapter') throw error;
    return {
      backend: await openCpu(choices.precision),
      note: 'No GPU was found, so the CPU does the work (`lowrank doctor` shows more).',
    };
  }
}

// A page loads the backend that it uses.
const openCpu = async (precision: Precision | undefined): Promise<Backend> =>
  openBackend(await (await import('@lowrank/cpu')).createCpuBackend(), { precision });
const openWebgpu = async ({
  precision,
  robustness,
  tune = true,
  onTuned,
  ...options
}: BackendNeeds & DeviceChoices & TuningEvents & { readonly allowSoftware?: boolean }): Promise<Backend> =>
  (await import('@lowrank/webgpu')).createWebgpuBackend({
    ...options,
    ...(precision && { precision }),
    ...(robustness && { robustness }),
    ...(tune && { tuner: { store: tuningStore, onTuned } }),
  });
