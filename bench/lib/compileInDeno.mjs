// In Deno: `deno run -A --unstable-webgpu compileInDeno.mjs KERNELS.json` makes a pipeline of each {label, code} with
// wgpu, whose compiler is naga, and prints a line for each that it refuses.
import { readFileSync } from 'node:fs';
import process from 'node:process';

const adapter = await navigator.gpu.requestAdapter();
if (adapter === null) throw new Error('no WebGPU adapter in Deno: install mesa-vulkan-drivers and libvulkan1');
const device = await adapter.requestDevice({
  requiredFeatures: ['shader-f16'].filter((name) => adapter.features.has(name)),
});
let failed = 0;
const kernels = JSON.parse(readFileSync(process.argv[2], 'utf8'));
for (const { label, code } of kernels) {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ label, code });
  device.createComputePipeline({ label, layout: 'auto', compute: { module, entryPoint: 'main' } });
  const error = await device.popErrorScope();
  if (error === null) continue;
  failed++;
  console.log(`${label}: ${error.message}`);
}
console.log(`${kernels.length - failed} of ${kernels.length} kernels compile in wgpu (${adapter.info.description})`);
process.exit(failed === 0 && kernels.length > 0 ? 0 : 1);
