// For tests/peakMemory.test.ts: loads a model folder in 4 bits in a process of its own, of the built packages, and
// prints what that took.
import { readFileSync } from 'node:fs';
import { createCpuBackend } from '../../packages/cpu/dist/index.js';
import { loadCausalModel, openFolder } from '../../packages/models/dist/index.js';

const [folder] = process.argv.slice(2);
const backend = await createCpuBackend();
const model = await loadCausalModel(await openFolder(folder), {
  quantization: { type: 'nf4', doubleQuantization: true },
  backend: async () => backend,
});
const [, peak] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
const deviceBytes = backend.memory.bytes;
model.dispose();
backend.dispose();
console.log(JSON.stringify({ peakBytes: Number(peak) * 1024, deviceBytes }));
