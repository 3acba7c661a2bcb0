import { BufferUsage, MapMode } from './constants.js';

const lanes = 256;
const groups = 4;
const code = `enable subgroups;
@group(0) @binding(0) var<storage, read_write> odd: array<u32>;
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_size) width: u32, @builtin(subgroup_invocation_id) place: u32) {
  let first = subgroupMin(lane);
  odd[wid.x * ${lanes}u + lane] = u32(lane % width != place || first != lane - place);
}
`;

/**
 * Whether the subgroups of a workgroup are its lanes in order: `lane / subgroup_size` is then a lane's subgroup, and
 * `lane % subgroup_size` its place in it. WGSL does not promise it, all known drivers do it, and kernels build on it:
 * so the device is asked, once.
 */
export async function subgroupsAreInOrder(gpu: GPUDevice): Promise<boolean> {
  const size = 4 * lanes * groups;
  const odd = gpu.createBuffer({ label: 'subgroup probe', size, usage: BufferUsage.storage | BufferUsage.copySrc });
  const read = gpu.createBuffer({ label: 'subgroup probe', size, usage: BufferUsage.mapRead | BufferUsage.copyDst });
  try {
    const pipeline = await gpu.createComputePipelineAsync({
      layout: 'auto',
      compute: { module: gpu.createShaderModule({ label: 'subgroup probe', code }), entryPoint: 'main' },
    });
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    const layout = pipeline.getBindGroupLayout(0);
    pass.setBindGroup(0, gpu.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: odd } }] }));
    pass.dispatchWorkgroups(groups);
    pass.end();
    encoder.copyBufferToBuffer(odd, 0, read, 0, size);
    gpu.queue.submit([encoder.finish()]);
    await read.mapAsync(MapMode.read);
    return new Uint32Array(read.getMappedRange()).every((word) => word === 0);
  } catch {
    return false;
  } finally {
    odd.destroy();
    read.destroy();
  }
}
