import type { Backend } from '@lowrank/tensor';
import type { DeviceProfile } from '@lowrank/webgpu';
import { WebgpuBackend } from '@lowrank/webgpu';

/** What computes: the CPU backend, a GPU that a CPU pretends to be, or a real one. */
export type DeviceKind = 'cpu' | 'software' | 'gpu';

const softwareNames = /software|swiftshader|llvmpipe/i;

export function kindOf({ name, description }: Pick<Backend, 'name' | 'description'>): DeviceKind {
  if (name === 'cpu') return 'cpu';
  return softwareNames.test(description) ? 'software' : 'gpu';
}

/** What a backend's kernels are chosen by; undefined of the CPU backend, where every step of a plan is a launch. */
export function kernelProfileOf(backend: Backend): DeviceProfile | undefined {
  return backend instanceof WebgpuBackend ? backend.profile : undefined;
}
