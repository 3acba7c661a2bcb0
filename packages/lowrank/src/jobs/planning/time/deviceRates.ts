import type { DeviceProfile } from '@lowrank/webgpu';
import type { LaunchGroup } from '../launches.js';
import type { Probes } from '../../profiling/probes.js';
import type { Bounds } from './bounds.js';
import { exactly, times, within } from './bounds.js';
import { calibrations } from './calibrations.js';
import type { CalibratedKind } from './calibrations.js';
import type { DataSheet } from './dataSheets.js';

/** What the time of a launch is computed from. */
export interface DeviceRates {
  /** Floating-point operations a second of a large product with these kernels. */
  readonly flops: Bounds;
  /** Bytes a second that a sum of large vectors reads and writes. */
  readonly bytes: Bounds;
  /** Seconds that a launch takes beside its work. */
  readonly launch: Bounds;
  /** How much of these rates the launches of a group reach. */
  efficiency(group: LaunchGroup): Bounds;
}

/**
 * How much of a data sheet's f32 rate large products in WebGPU are reported to reach: torchlette 29% of an A100's in
 * whole steps, 2.4 to 2.6 TFLOP/s of an M2's 3.6.
 */
const attainedFlops: Bounds = { least: 0.29, most: 0.72 };
/** What matrix units gain over that in llama.cpp's and ONNX Runtime's WebGPU kernels. */
const matrixGain: Bounds = { least: 2.5, most: 4 };
/** Of a data sheet's bandwidth: an assumption, as wide as what stream benchmarks report of GPUs. */
const attainedBytes: Bounds = { least: 0.6, most: 0.9 };
/**
 * From the host's part of a dispatch with a driver that does no work (5.6 µs, bench/README.md) to what a dispatch of an
 * encoder of its own costs: 24–36 µs on Vulkan, 32–71 µs on Metal (arXiv:2604.02344).
 */
const launchSeconds: Readonly<Record<DataSheet['api'], Bounds>> = {
  vulkan: { least: 5.6e-6, most: 36e-6 },
  metal: { least: 5.6e-6, most: 71e-6 },
};

/** The rates of a GPU that is not at hand. */
export function sheetRates(sheet: DataSheet, { tier }: Pick<DeviceProfile, 'tier'>): DeviceRates {
  const plain = times(sheet.flops, attainedFlops);
  return {
    flops: tier === 'matrices' ? matrixRates(sheet, plain) : plain,
    bytes: times(sheet.bytes, attainedBytes),
    launch: launchSeconds[sheet.api],
    efficiency: gpuEfficiency,
  };
}

function matrixRates({ matrixFlops = Infinity }: DataSheet, plain: Bounds): Bounds {
  const { least, most } = times(plain, matrixGain);
  const best = matrixFlops * attainedFlops.most;
  return { least: Math.min(least, best), most: Math.min(most, best) };
}

/** The rates of a device that was measured: a processor, a GPU in software, or a real one. */
export function probedRates(probes: Probes, kind: CalibratedKind | 'gpu'): DeviceRates {
  const calibration = kind === 'gpu' ? undefined : calibrations[kind];
  return {
    flops: exactly(probes.flops_per_second),
    bytes: exactly(probes.bytes_per_second),
    launch: exactly(probes.launch_seconds),
    efficiency:
      calibration === undefined
        ? gpuEfficiency
        : (group) => within(calibration.efficiency[group] ?? 1, 1 + calibration.error.most),
  };
}

/** Groups whose launches are bound by memory on any GPU: a sum of vectors is their like. */
const boundByMemory: ReadonlySet<LaunchGroup> = new Set([
  'SwiGLU',
  'rope',
  'norms and sums',
  'scales',
  'optimizer',
  'embedding',
]);

/**
 * Where nothing could be measured: launches bound by memory reach what a sum of vectors does, or a little less; of the
 * others each reaches what it does on one of the devices that were measured, beside their large products.
 */
function gpuEfficiency(group: LaunchGroup): Bounds {
  if (boundByMemory.has(group)) return { least: 0.7, most: 1 };
  const measured = Object.values(calibrations).flatMap(({ efficiency }) => efficiency[group] ?? []);
  return measured.length === 0 ? exactly(1) : { least: Math.min(...measured), most: Math.max(...measured) };
}
