import { create, globals } from 'webgpu';

/** Dawn crashes when its instance is collected while something of it lives: held as long as the process. */
let instance: GPU | undefined;

/**
 * A bare Dawn device for tests of kernels and shaders, with the adapter's own limits unless `descriptor` says
 * otherwise.
 *
 * @throws Error when there is no adapter: a WebGPU test fails without one, it never skips.
 */
export async function openTestDevice(
  descriptor?: GPUDeviceDescriptor,
): Promise<{ adapter: GPUAdapter; device: GPUDevice }> {
  Object.assign(globalThis, globals);
  instance ??= create([]);
  const adapter = await instance.requestAdapter();
  if (adapter === null) throw new Error('no WebGPU adapter: see CONTRIBUTING.md on drivers for tests');
  const device = await adapter.requestDevice(descriptor);
  return { adapter, device };
}
