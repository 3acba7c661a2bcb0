import { LowrankError } from '@lowrank/errors';
import { defaultLimits } from './constants.js';
import type { LimitName, Limits } from './constants.js';

/** What is known of an adapter, as plain data. */
export interface AdapterDescription {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** True for an adapter that computes on the CPU: correct, but slower than the cpu backend. */
  readonly software: boolean;
  readonly features: readonly string[];
  readonly limits: Limits;
  readonly subgroupMinSize: number | undefined;
  readonly subgroupMaxSize: number | undefined;
}

/** The part of GPUAdapterInfo that distinguishes software adapters from real ones; `adapterType` is Dawn's. */
export interface AdapterTraits {
  readonly vendor?: string;
  readonly architecture?: string;
  readonly device?: string;
  readonly description?: string;
  readonly isFallbackAdapter?: boolean;
  readonly adapterType?: string;
}

const softwareNames = /swiftshader|llvmpipe|lavapipe|softpipe|microsoft basic render|\bwarp\b/i;

/** True for SwiftShader, llvmpipe/lavapipe, WARP, and whatever else calls itself a fallback or a CPU. */
export function isSoftware(info: AdapterTraits): boolean {
  if (info.isFallbackAdapter === true || info.adapterType?.toLowerCase() === 'cpu') return true;
  return softwareNames.test(
    `${info.vendor ?? ''} ${info.architecture ?? ''} ${info.device ?? ''} ${info.description ?? ''}`,
  );
}

export function describeGpuAdapter(adapter: GPUAdapter): AdapterDescription {
  const { info } = adapter;
  const sizes: { subgroupMinSize?: number; subgroupMaxSize?: number } = info;
  return {
    vendor: info.vendor,
    architecture: info.architecture,
    device: info.device,
    description: info.description,
    software: isSoftware(info),
    features: [...adapter.features].sort(),
    limits: readLimits(adapter.limits),
    subgroupMinSize: sizes.subgroupMinSize,
    subgroupMaxSize: sizes.subgroupMaxSize,
  };
}

export function readLimits(limits: GPUSupportedLimits): Limits {
  const names = Object.keys(defaultLimits) as LimitName[];
  return Object.fromEntries(names.map((name) => [name, limits[name]])) as Record<LimitName, number>;
}

/** One line for people: the adapter's name, its vendor, and whether it is software. */
export function adapterName(adapter: AdapterDescription): string {
  const name = [adapter.vendor, adapter.architecture, adapter.description].filter((part) => part !== '').join(' ');
  return `${name === '' ? 'unnamed adapter' : name}${adapter.software ? ' (software)' : ''}`;
}

interface DawnModule {
  create(options: string[]): GPU;
}

// Dawn's GPU object must outlive every device made from it: letting it be collected crashed earlier releases at exit.
const kept = new Map<string, GPU>();

/**
 * The GPU entry point: `navigator.gpu` in a browser, Dawn through the optional peer `webgpu` in Node.
 * Throws `webgpu.no-adapter` with the remedy where there is neither.
 */
export async function gpuEntry(dawnOptions: readonly string[] = []): Promise<GPU> {
  const browser = (globalThis.navigator as (Navigator & { gpu?: GPU }) | undefined)?.gpu;
  if (browser !== undefined) return browser;
  if (!isNode()) {
    throw new LowrankError({
      code: 'webgpu.no-adapter',
      what: 'this browser offers no WebGPU',
      remedy:
        'Use a recent Chrome, Edge, Safari or Firefox on a secure (https or localhost) page, or choose the ' +
        'cpu backend.',
    });
  }
  const key = dawnOptions.join('\n');
  const known = kept.get(key);
  if (known !== undefined) return known;
  const dawn = await importDawn();
  requireVulkanLoader();
  const gpu = dawn.create([...dawnOptions]);
  kept.set(key, gpu);
  return gpu;
}

function isNode(): boolean {
  return typeof process !== 'undefined' && typeof process.versions?.node === 'string';
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
  // The name is a variable so that browser bundlers leave the Node-only peer alone.
  const name = 'webgpu';
  try {
    return (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as DawnModule;
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

/**
 * Every distinct adapter that can be reached, for `lowrank doctor`; empty where there is none. Throws only if `webgpu`
 * is missing.
 */
export async function listAdapters(): Promise<AdapterDescription[]> {
  const gpu = await gpuEntry();
  const requests: GPURequestAdapterOptions[] = [
    { powerPreference: 'high-performance' },
    { powerPreference: 'low-power' },
    { forceFallbackAdapter: true },
  ];
  const found = new Map<string, AdapterDescription>();
  for (const request of requests) {
    const adapter = await gpu.requestAdapter(request);
    if (adapter === null) continue;
    const description = describeGpuAdapter(adapter);
    found.set(`${adapterName(description)} ${description.device}`, description);
  }
  return [...found.values()];
}
