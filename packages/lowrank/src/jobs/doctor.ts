import { isLowrankError } from '@lowrank/errors';
import { createCpuBackend } from '@lowrank/cpu';
import type { AdapterDescription, MeasuredChoice, Robustness } from '@lowrank/webgpu';
import { adapterName, describeProfile, keptChoices, listAdapters, profileOf } from '@lowrank/webgpu';
import { tuningStore } from '../tuningStore.js';

/** An adapter, and what was measured on it. */
export interface FoundAdapter extends AdapterDescription {
  readonly name: string;
  readonly kernels: string;
  /** Choices that were measured for these kernels and count now; none where nothing was measured. */
  readonly tuned: readonly MeasuredChoice[];
}

/** What this machine can train on. */
export interface Findings {
  readonly node: string;
  readonly platform: string;
  readonly adapters: readonly FoundAdapter[];
  readonly cpu: { readonly description: string };
  /** Guards around the indices of WebGPU kernels: what a command has, and whether `--robustness off` does without. */
  readonly robustness: { readonly default: Robustness; readonly canBeOff: boolean };
  /** What `--device auto` takes. */
  readonly auto: 'webgpu' | 'cpu';
  /** What to install or do for more, most useful first. */
  readonly advice: readonly string[];
}

/** Looks for devices. Does not throw where there is no device. */
export async function examine(): Promise<Findings> {
  const { adapters, problem } = await findAdapters();
  const cpu = await createCpuBackend();
  const { description } = cpu;
  cpu.dispose();
  const auto = adapters.some(({ software }) => !software) ? 'webgpu' : 'cpu';
  return {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    adapters: await Promise.all(
      adapters.map(async (adapter) => ({
        name: adapterName(adapter),
        kernels: describeProfile(profileOf(adapter)),
        tuned: await keptChoices(tuningStore, adapter),
        ...adapter,
      })),
    ),
    cpu: { description },
    robustness: { default: 'on', canBeOff: adapters.length > 0 && globalThis.navigator?.gpu === undefined },
    auto,
    advice: adviceFor({ adapters, problem, platform: process.platform }),
  };
}

async function findAdapters(): Promise<{ adapters: AdapterDescription[]; problem: string | undefined }> {
  try {
    return { adapters: await listAdapters(), problem: undefined };
  } catch (error) {
    if (!isLowrankError(error)) throw error;
    return { adapters: [], problem: error.message };
  }
}

export interface Symptoms {
  readonly adapters: readonly Pick<AdapterDescription, 'software' | 'features'>[];
  /** Why no adapter could be asked for, where it is so. */
  readonly problem: string | undefined;
  readonly platform: string;
}

/** Advice for what was found. */
export function adviceFor({ adapters, problem, platform }: Symptoms): string[] {
  if (problem !== undefined) return [problem];
  const real = adapters.filter(({ software }) => !software);
  if (real.length === 0) {
    const advice = ['Training runs on the CPU. For a GPU, its driver has to be installed:'];
    if (platform === 'linux') {
      advice.push(
        'NVIDIA: the proprietary driver with its Vulkan part (libnvidia-gl on Debian and Ubuntu); in a ' +
          'container, NVIDIA_DRIVER_CAPABILITIES=all.',
        'AMD and Intel: mesa-vulkan-drivers; the user has to be in the groups render and video.',
        '`vulkaninfo --summary` (package vulkan-tools) shows whether a driver is found.',
      );
    } else if (platform === 'win32')
      advice.push('Install the current driver of the GPU from its maker; Direct3D 12 is what is used.');
    else if (platform === 'darwin')
      advice.push('Metal needs no driver; it is not offered in some virtual machines and remote sessions.');
    if (adapters.length > 0) advice.push('The software adapter is for tests: the CPU backend is several times faster.');
    return advice;
  }
  return real.some(({ features }) => features.includes('shader-f16'))
    ? []
    : ['This GPU offers no shader-f16: 16-bit weights are kept as bf16 or f32.'];
}
