import type { AdapterDescription } from '@lowrank/webgpu';
import type { Bounds } from './bounds.js';
import { exactly } from './bounds.js';

/** A GPU as those who sell it describe it, and as WebGPU presents it. */
export interface DataSheet {
  readonly title: string;
  /** Floating-point operations a second in f32, multiply and add counted apart. */
  readonly flops: Bounds;
  /** The same of its matrix units: dense products of f16 with f32 sums. */
  readonly matrixFlops?: number;
  /** Bytes a second that its memory gives. */
  readonly bytes: Bounds;
  /** Bytes of its own memory; none where it shares the machine's. */
  readonly memoryBytes?: number;
  /** Which API Dawn and browsers reach it by: launches cost differently. */
  readonly api: 'vulkan' | 'metal';
  readonly adapter: Omit<AdapterDescription, 'limits' | 'description' | 'device' | 'software'>;
  /** Where the figures are from. */
  readonly source: string;
}

const f16 = ['shader-f16', 'subgroups'];
const nvidia = {
  vendor: 'nvidia',
  features: [...f16, 'chromium-experimental-subgroup-matrix'],
  subgroupMinSize: 32,
  subgroupMaxSize: 32,
};
const tensorCores = [{ m: 16, n: 16, k: 16, operand: 'f16', sum: 'f32' }];

/** The GPUs that `--on` names. Add one with the source of each figure. */
export const dataSheets = {
  rtx4060: {
    title: 'NVIDIA GeForce RTX 4060',
    flops: exactly(15.1e12),
    matrixFlops: 30.2e12,
    bytes: exactly(272e9),
    memoryBytes: 8e9,
    api: 'vulkan',
    adapter: { ...nvidia, architecture: 'lovelace', subgroupMatrices: tensorCores },
    source:
      'NVIDIA’s specifications: 3,072 cores at 2.46 GHz, GDDR6 of 17 Gbps over 128 bits; matrix units at twice the ' +
      'f32 rate with f32 sums (Ada whitepaper)',
  },
  m3: {
    title: 'Apple M3 (10 GPU cores)',
    flops: { least: 3.5e12, most: 4.1e12 },
    bytes: exactly(100e9),
    api: 'metal',
    adapter: { vendor: 'apple', architecture: 'metal-3', features: f16, subgroupMinSize: 32, subgroupMaxSize: 32 },
    source:
      'Apple’s specifications for memory (100 GB/s); Apple publishes no rate of operations: 10 cores × 128 lanes × 2 ' +
      'at 1.4 to 1.6 GHz',
  },
  h200: {
    title: 'NVIDIA H200 SXM',
    flops: exactly(67e12),
    matrixFlops: 989e12,
    bytes: exactly(4.8e12),
    memoryBytes: 141e9,
    api: 'vulkan',
    adapter: { ...nvidia, architecture: 'hopper', subgroupMatrices: tensorCores },
    source: 'NVIDIA’s H200 datasheet: 67 TFLOP/s in f32, 1,979 in f16 with sparsity, 4.8 TB/s',
  },
  'iris-xe': {
    title: 'Intel Iris Xe (96 execution units)',
    flops: { least: 2e12, most: 2.2e12 },
    bytes: { least: 51.2e9, most: 68.3e9 },
    api: 'vulkan',
    adapter: { vendor: 'intel', architecture: 'gen-12lp', features: f16, subgroupMinSize: 8, subgroupMaxSize: 32 },
    source:
      'Intel ARK: 96 units × 16 operations at 1.3 to 1.45 GHz; memory of the machine, from DDR4-3200 to LPDDR4x-4267 ' +
      'over 128 bits',
  },
  adreno740: {
    title: 'Qualcomm Adreno 740 (Snapdragon 8 Gen 2)',
    flops: { least: 2.1e12, most: 3.7e12 },
    bytes: exactly(67.2e9),
    api: 'vulkan',
    adapter: {
      vendor: 'qualcomm',
      architecture: 'adreno-7xx',
      features: f16,
      subgroupMinSize: 64,
      subgroupMaxSize: 128,
    },
    source:
      'Qualcomm’s product brief for memory (LPDDR5X-4200 over 64 bits); Qualcomm publishes no rate of operations, ' +
      'and what others state goes from 2.1 to 3.7 TFLOP/s',
  },
} as const satisfies Readonly<Record<string, DataSheet>>;

/** A name of {@link dataSheets}. */
export type DataSheetName = keyof typeof dataSheets;
export const dataSheetNames = Object.keys(dataSheets) as readonly DataSheetName[];
