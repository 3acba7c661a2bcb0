import { isLowrankError, LowrankError } from '@lowrank/errors';
import type { Backend } from '@lowrank/tensor';

export const devices = ['auto', 'webgpu', 'cpu'] as const;
/** `auto` (a real GPU, else the CPU), `webgpu` or `cpu`. */
export type DeviceName = (typeof devices)[number];

/**
 * A backend, or a way to one: it is opened when the work begins, after all that could be wrong with the input has been
 * looked at.
 */
export type BackendOrOpener = Backend | (() => Promise<Backend>);

export function openBackend(backend: BackendOrOpener): Promise<Backend> {
  return typeof backend === 'function' ? backend() : Promise.resolve(backend);
}

/** The backend, opened when it is first asked for, and once. */
export function backendOnce(backend: BackendOrOpener): () => Promise<Backend> {
  let opened: Promise<Backend> | undefined;
  return () => (opened ??= openBackend(backend));
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
 * @throws LowrankError `webgpu.no-adapter` with `webgpu`; `cli.device` for any other name
 */
export async function chooseBackend(device: DeviceName = 'auto'): Promise<ChosenBackend> {
  if (!devices.includes(device))
    throw new LowrankError({ code: 'cli.device', what: '--device', expected: devices.join(', '), got: device });
  if (device === 'cpu') return { backend: await openCpu(), note: undefined };
  if (device === 'webgpu') return { backend: await openWebgpu(), note: undefined };
  try {
    return { backend: await openWebgpu({ allowSoftware: false }), note: undefined };
  } catch (error) {
    if (!isLowrankError(error) || error.code !== 'webgpu.no-adapter') throw error;
    return {
      backend: await openCpu(),
      note: 'No GPU was found, so the CPU does the work (`lowrank doctor` shows more).',
    };
  }
}

// A page loads the backend that it uses.
const openCpu = async (): Promise<Backend> => (await import('@lowrank/cpu')).createCpuBackend();
const openWebgpu = async (options?: { readonly allowSoftware: boolean }): Promise<Backend> =>
  (await import('@lowrank/webgpu')).createWebgpuBackend(options);
