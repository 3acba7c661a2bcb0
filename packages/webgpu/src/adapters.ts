import { defaultLimits } from './constants.js';
import type { LimitName, Limits } from './constants.js';
import { dawn } from './dawn.js';
import { cannotTrust, dawnOptionsOf } from './dawnFeatures.js';
import type { Robustness } from './dawnFeatures.js';

/** Subgroup matrices that an adapter multiplies: [m,k]·[k,n], all lanes of a subgroup together. */
export interface SubgroupMatrices {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** WGSL's names of the element types of operands and sums: `f16`, `f32`, … */
  readonly operand: string;
  readonly sum: string;
}

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
  /** Absent where the adapter tells of none. */
  readonly subgroupMatrices?: readonly SubgroupMatrices[];
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
    subgroupMatrices: matricesOf(info),
  };
}

/** Chromium's part of GPUAdapterInfo on subgroup matrices. */
interface MatrixInfo {
  readonly subgroupMatrixConfigs?: Iterable<{
    readonly componentType: string;
    readonly resultComponentType: string;
    readonly M: number;
    readonly N: number;
    readonly K: number;
  }>;
}

function matricesOf(info: GPUAdapterInfo & MatrixInfo): SubgroupMatrices[] {
  return [...(info.subgroupMatrixConfigs ?? [])].map(({ componentType, resultComponentType, M, N, K }) => ({
    m: M,
    n: N,
    k: K,
    operand: componentType,
    sum: resultComponentType,
  }));
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

/**
 * The GPU entry point: `navigator.gpu` in a browser and in Deno, Dawn through the optional peer `webgpu` in Node.
 * Throws `webgpu.no-adapter` with the remedy where there is neither, `webgpu.robustness` where `off` cannot be had.
 */
export async function gpuEntry(dawnOptions: readonly string[] = [], robustness?: Robustness): Promise<GPU> {
  const browser = (globalThis.navigator as (Navigator & { gpu?: GPU }) | undefined)?.gpu;
  if (browser === undefined) return dawn(dawnOptionsOf(dawnOptions, robustness));
  if (robustness === 'off') throw cannotTrust('navigator.gpu, which keeps its guards');
  return browser;
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
