// Published types name WebGPU's classes through these: the DOM library of TypeScript 6 and later has them, before it
// they come from @webgpu/types, and the two cannot both be loaded. Where there is neither they are unknown.
type InstanceOf<Name extends string> =
  typeof globalThis extends Readonly<Record<Name, { readonly prototype: infer Instance }>> ? Instance : unknown;

export type Device = InstanceOf<'GPUDevice'>;
export type ComputePipeline = InstanceOf<'GPUComputePipeline'>;
export type BindGroupLayout = InstanceOf<'GPUBindGroupLayout'>;
export type ErrorOfGpu = InstanceOf<'GPUError'>;
