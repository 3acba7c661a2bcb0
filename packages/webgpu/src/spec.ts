import { LowrankError } from '@lowrank/errors';
import type { BackendSpec } from '@lowrank/tensor/backend';
import { defaultLimits } from './constants.js';
import type { Limits } from './constants.js';
import { groupsLaunches } from './choices.js';
import type { KernelTuning } from './choices.js';
import type { KernelEntry } from './kernel.js';
import type { MatmulAttrs } from '@lowrank/tensor/op';
import { kernels as coreKernels } from './kernels/index.js';
import { hasProduct, makesLeft } from './kernels/matmul.js';
import { portableProfile } from './profile.js';
import type { DeviceProfile } from './profile.js';

/** What plans for a device depend on. */
export interface SpecOptions {
  readonly profile: DeviceProfile;
  readonly tuning?: KernelTuning;
  /** Kernels of ops that other packages declare, by op name. */
  readonly kernels?: Readonly<Record<string, KernelEntry>>;
  readonly elementwiseInstructions?: number;
  readonly matmulEpilogue?: boolean;
}

/** The kernel of an op among all kernels of a backend. @throws LowrankError `webgpu.unsupported-op` */
export type KernelLookup = (op: string) => KernelEntry;

export function kernelLookup(more: Readonly<Record<string, KernelEntry>> = {}): KernelLookup {
  const table = new Map(Object.entries({ ...coreKernels, ...more }));
  return (op) => {
    const kernel = table.get(op);
    if (kernel !== undefined) return kernel;
    throw new LowrankError({
      code: 'webgpu.unsupported-op',
      what: `op ${op}`,
      expected: 'an op with a WebGPU kernel',
      got: 'one without',
      remedy: 'Pass the kernels of the package that declares the op to the backend.',
    });
  };
}

/** What the compiler may assume of a device with these limits. */
export function backendSpec(
  limits: Limits,
  { profile, tuning = {}, kernels, elementwiseInstructions = 24, matmulEpilogue = true }: SpecOptions,
): BackendSpec {
  const kernel = kernelLookup(kernels);
  const choice = { profile, tuning };
  return {
    alignment: limits.minStorageBufferOffsetAlignment,
    maxBufferBytes: limits.maxBufferSize,
    maxBindingBytes: limits.maxStorageBufferBindingSize,
    maxOperands: limits.maxStorageBuffersPerShaderStage,
    separateReadWrite: true,
    precision: profile.precision,
    fusion: {
      elementwiseInstructions,
      matmulEpilogue,
      absorption: matmulEpilogue,
      remaking: matmulEpilogue,
      ...(matmulEpilogue && {
        leftOperand: (inputs, attrs) => makesLeft(inputs, attrs as MatmulAttrs, choice),
        product: (inputs, attrs) => hasProduct(inputs, attrs as MatmulAttrs, choice),
      }),
    },
    ...(profile.precision === 'mixed' && {
      keepsHalves: (op, inputs, outputs, attrs) => kernel(op).halves(inputs, outputs, attrs, choice),
    }),
    workspaceBytes: (op, inputs, outputs, attrs) => kernel(op).workspace(inputs, outputs, attrs, choice),
    ...(groupsLaunches(profile) && {
      launchClass: (op, inputs, outputs, attrs) => kernel(op).launchClass(inputs, outputs, attrs, choice),
    }),
  };
}

/**
 * What the compiler may assume of an absent GPU, to plan for it: the portable kernels, WebGPU's default
 * limits where no others are given. Some GPUs offer more and get plans of the same bytes; a limit that is too low for a
 * plan is an error when it is made.
 */
export function portableSpec(limits: Partial<Limits> = {}, options: Partial<SpecOptions> = {}): BackendSpec {
  return backendSpec({ ...defaultLimits, ...limits }, { profile: portableProfile(), ...options });
}
