import type { LaunchTime, ProfiledRun } from '@lowrank/tensor/backend';
import { BufferUsage, MapMode } from './constants.js';
import type { WebgpuDevice } from './device.js';

/** A dispatch that is made when it is its turn, and what is told of it. */
export interface TimedDispatch extends Pick<LaunchTime, 'step' | 'kernel' | 'bytes'> {
  readonly encode: (pass: GPUComputePassEncoder) => void;
}

/** Dispatches of one submit; a query set holds 4,096 timestamps at most. */
const together = 1024;

/**
 * Runs dispatches in order, and tells what each took: by the device's timestamps around a pass of its own, or, where
 * there are none or they stand still, by the host's clock around a submit of its own.
 */
export async function timeLaunches(device: WebgpuDevice, dispatches: readonly TimedDispatch[]): Promise<ProfiledRun> {
  if (device.features.has('timestamp-query')) {
    const stamps = await timestamps(device, dispatches);
    const first = stamps[0] ?? 0n;
    const launches = dispatches.map((dispatch, at): LaunchTime => {
      const [start = 0n, end = 0n] = stamps.slice(2 * at, 2 * at + 2);
      return timed(dispatch, Number(start - first) / 1e6, Number(end - start) / 1e6);
    });
    const isMoving = launches.every(({ milliseconds }) => milliseconds >= 0);
    if (isMoving && launches.some(({ milliseconds }) => milliseconds > 0)) return { clock: 'timestamps', launches };
  }
  return { clock: 'submits', launches: await submits(device, dispatches) };
}

function timed({ step, kernel, bytes }: TimedDispatch, start: number, milliseconds: number): LaunchTime {
  return { step, kernel, bytes, start, milliseconds };
}

async function timestamps({ gpu }: WebgpuDevice, dispatches: readonly TimedDispatch[]): Promise<BigUint64Array> {
  const all = new BigUint64Array(2 * dispatches.length);
  const count = 2 * Math.min(together, dispatches.length);
  if (count === 0) return all;
  const querySet = gpu.createQuerySet({ type: 'timestamp', count });
  const usage = BufferUsage.queryResolve | BufferUsage.copySrc;
  const resolved = gpu.createBuffer({ label: 'timestamps', size: 8 * count, usage });
  const staging = gpu.createBuffer({
    label: 'timestamps to read',
    size: 8 * count,
    usage: BufferUsage.mapRead | BufferUsage.copyDst,
  });
  try {
    for (let from = 0; from < dispatches.length; from += together) {
      const some = dispatches.slice(from, from + together);
      const encoder = gpu.createCommandEncoder();
      for (const [at, { encode }] of some.entries()) {
        const timestampWrites = { querySet, beginningOfPassWriteIndex: 2 * at, endOfPassWriteIndex: 2 * at + 1 };
        const pass = encoder.beginComputePass({ timestampWrites });
        encode(pass);
        pass.end();
      }
      encoder.resolveQuerySet(querySet, 0, 2 * some.length, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, 16 * some.length);
      gpu.queue.submit([encoder.finish()]);
      await staging.mapAsync(MapMode.read, 0, 16 * some.length);
      all.set(new BigUint64Array(staging.getMappedRange(0, 16 * some.length)), 2 * from);
      staging.unmap();
    }
    return all;
  } finally {
    querySet.destroy();
    resolved.destroy();
    staging.destroy();
  }
}

async function submits({ gpu }: WebgpuDevice, dispatches: readonly TimedDispatch[]): Promise<LaunchTime[]> {
  const launches: LaunchTime[] = [];
  await gpu.queue.onSubmittedWorkDone();
  const began = performance.now();
  for (const dispatch of dispatches) {
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    dispatch.encode(pass);
    pass.end();
    const start = performance.now();
    gpu.queue.submit([encoder.finish()]);
    await gpu.queue.onSubmittedWorkDone();
    launches.push(timed(dispatch, start - began, performance.now() - start));
  }
  return launches;
}
