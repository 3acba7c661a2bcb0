/**
 * `@lowrank/tensor/backend`: for authors of backends, and for code that looks at plans. What a backend receives (plans,
 * steps, operands), what it must tell the compiler, and the ops it needs kernels for.
 */
export type {
  BackendSpec,
  Executable,
  HostNumber,
  KernelChoices,
  LaunchTime,
  MemoryReport,
  Operand,
  PersistentData,
  Plan,
  PlanBuffer,
  ProfiledRun,
  RunRequest,
  Step,
} from '../backend.js';
export { precisions } from '../precision.js';
export type { Precision } from '../precision.js';
export { elementwiseFunctions } from '../ops/elementwise.js';
export type { ElementwiseName, ElementwiseInstruction } from '../ops/elementwise.js';
export type { DecodeAttrs } from '../ops/encoded.js';
export { coreOps } from '../ops/index.js';
export type { AttrsOf, CoreOps, KernelName } from '../ops/index.js';
export { Arena } from '../arena.js';
export { planFunction } from '../compile.js';
export type { DeviceBuffer, DeviceMemory } from '../memory.js';
export { buildPlan } from '../plan/build.js';
export type { BuildPlanOptions } from '../plan/build.js';
export { dumpPlan, planCost } from '../plan/dump.js';
export type { PlanCost } from '../plan/dump.js';
export { liesNear } from '../plan/bindings.js';
export { stepBytes } from '../plan/stepBytes.js';
export { planMemory } from '../plan/memory.js';
export type { PlanMemory } from '../plan/memory.js';
export { runUnplanned } from '../runUnplanned.js';
export type { UnplannedOptions } from '../unplanned.js';
