import { LowrankError } from '@lowrank/errors';

/** Browsers have their own WebGPU, or none. */
export function dawn(_options: readonly string[]): Promise<GPU> {
  return Promise.reject(
    new LowrankError({
      code: 'webgpu.no-adapter',
      what: 'this browser offers no WebGPU',
      remedy:
        'Use a recent Chrome, Edge, Safari or Firefox on a secure (https or localhost) page, or choose the ' +
        'cpu backend.',
    }),
  );
}
