export { adapterName, isSoftware, listAdapters } from './adapters.js';
export type { AdapterDescription, AdapterTraits } from './adapters.js';
export { createWebgpuBackend, WebgpuBackend } from './backend.js';
export type { WebgpuBackendOptions } from './backend.js';
export type { ChoiceContext } from './choices.js';
export type { Limits } from './constants.js';
export type { Counters } from './counters.js';
export { requestDevice, WebgpuDevice } from './device.js';
export type { DeviceOptions } from './device.js';
export type { WebgpuErrorCode } from './gpuErrors.js';
export { defineKernel, operand } from './kernel.js';
export type {
  Binding,
  Kernel,
  KernelContext,
  KernelEntry,
  KernelStep,
  KernelDispatch,
  Slice,
  KernelTuning,
} from './kernel.js';
export { describeProfile, portableProfile, profileOf, tiers } from './profile.js';
export type { DeviceProfile, ProfileOptions, Tier } from './profile.js';
export { grid, literal, mainHead, nonFinite, Shader } from './shader.js';
export type { BoundType } from './shader.js';
export { portableSpec } from './spec.js';
export type { SpecOptions } from './spec.js';
