import { LowrankError } from '@lowrank/errors';

interface DawnModule {
  readonly create: (options: string[]) => GPU;
}

// Dawn's GPU object must outlive every device made from it: letting it be collected crashed earlier releases at exit.
const kept = new Map<string, GPU>();

/**
 * Dawn, Chromium's WebGPU, by the optional package `webgpu`. The build for browsers has none of it.
 *
 * @throws LowrankError `webgpu.no-adapter` where the package or the system's Vulkan loader is missing
 */
export async function dawn(options: readonly string[]): Promise<GPU> {
  const key = options.join('\n');
  const known = kept.get(key);
  if (known !== undefined) return known;
  const { create } = await importDawn();
  requireVulkanLoader();
  const gpu = create([...options]);
  kept.set(key, gpu);
  return gpu;
}

/**
 * On Linux Dawn reaches GPUs through libvulkan alone, and where that is missing it writes a warning with a stack to
 * stderr. Asking the dynamic loader first gives a sentence instead: `dlopen` of a library that is there fails later,
 * for it is no Node addon.
 */
function requireVulkanLoader(): void {
  if (process.platform !== 'linux') return;
  try {
    process.dlopen({ exports: {} }, 'libvulkan.so.1');
  } catch (cause) {
    if (!(cause instanceof Error) || !cause.message.includes('cannot open shared object file')) return;
    throw new LowrankError({
      code: 'webgpu.no-adapter',
      what: 'no WebGPU adapter can be reached',
      expected: 'the Vulkan loader, libvulkan.so.1',
      got: 'none on this system',
      remedy: 'Install it with the GPU’s driver (libvulkan1 on Debian and Ubuntu), or choose the cpu backend.',
      cause,
    });
  }
}

async function importDawn(): Promise<DawnModule> {
  // The name is a variable so that bundlers for servers leave the native package alone.
  const name = 'webgpu';
  try {
    return (await import(/* @vite-ignore */ /* webpackIgnore: true */ /* turbopackIgnore: true */ name)) as DawnModule;
  } catch (cause) {
    throw new LowrankError({
      code: 'webgpu.no-adapter',
      what: 'WebGPU in Node needs the package webgpu (Dawn), which could not be loaded',
      got: cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause),
      remedy: 'Run `npm install webgpu`, or choose the cpu backend.',
      cause,
    });
  }
}
