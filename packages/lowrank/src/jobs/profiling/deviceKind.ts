import type { Backend } from '@lowrank/tensor';
import type { DeviceProfile } from '@lowrank/webgpu';
import { WebgpuBackend } from '@lowrank/webgpu';

/** What computes: the CPU backend, a GPU that a CPU pretends to be, or a real one. */
export type DeviceKind = 'cpu' | 'software' | 'gpu';

export function kindOf(backend: Backend): DeviceKind {
  const profile = kernelProfileOf(backend);
  return profile === undefined ? 'cpu' : profile.software ? 'software' : 'gpu';
}

/** What a backend's kernels are chosen by; undefined of the CPU backend, where every step of a plan is a launch. */
export function kernelProfileOf(backend: Backend): DeviceProfile | undefined {
  return backend instanceof WebgpuBackend ? backend.profile : undefined;
}
