/** WebGPU's usage and map bits by number: in Node they are no globals, and a library should not make them so. */
export const BufferUsage = {
  mapRead: 0x0001,
  copySrc: 0x0004,
  copyDst: 0x0008,
  uniform: 0x0040,
  storage: 0x0080,
  queryResolve: 0x0200,
} as const;
export const MapMode = { read: 0x0001 } as const;
export const ShaderStage = { compute: 0x4 } as const;

/** The limits every WebGPU implementation grants; the portable tier is held to them in the tests. */
export const defaultLimits = {
  maxBufferSize: 256 * 1024 * 1024,
  maxStorageBufferBindingSize: 128 * 1024 * 1024,
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupStorageSize: 16 * 1024,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupsPerDimension: 65_535,
  maxUniformBufferBindingSize: 64 * 1024,
  minStorageBufferOffsetAlignment: 256,
} as const;

export type LimitName = keyof typeof defaultLimits;
/** Limits of a device, by WebGPU's names. */
export type Limits = Readonly<Record<LimitName, number>>;
