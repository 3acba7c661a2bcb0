export interface RunShaderOptions {
  readonly device: GPUDevice;
  /** WGSL with a `main` entry that reads `@binding(0)` and writes `@binding(1)`, both storage arrays of f32. */
  readonly code: string;
  readonly input: Float32Array<ArrayBuffer>;
  readonly workgroups: number;
}

/** Runs one shader over f32 values: output[i] for every input[i]. */
export async function runShader({ device, code, input, workgroups }: RunShaderOptions): Promise<Float32Array> {
  const pipeline = await device.createComputePipelineAsync({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }) },
  });
  const make = (usage: number): GPUBuffer => device.createBuffer({ size: input.byteLength, usage });
  const source = make(GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST);
  const target = make(GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
  const staging = make(GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  device.queue.writeBuffer(source, 0, input);
  const entries = [source, target].map((buffer, binding) => ({ binding, resource: { buffer } }));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(workgroups);
  pass.end();
  encoder.copyBufferToBuffer(target, 0, staging, 0, input.byteLength);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const output = new Float32Array(staging.getMappedRange().slice(0));
  for (const buffer of [source, target, staging]) buffer.destroy();
  return output;
}

/** y = 2x + 1, for tests that ask whether a device computes at all. */
export const affineShader = `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&x)) { y[id.x] = 2.0 * x[id.x] + 1.0; }
}`;
