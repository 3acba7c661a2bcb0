// For tests/peakMemory.test.ts: loads a model folder in 4 bits in a process of its own, of the built packages, and
// prints what that took.
import { readFileSync } from 'node:fs';
import { chooseBackend, loadModel, openFolder } from '../../packages/lowrank/dist/index.js';

const [folder] = process.argv.slice(2);
const { backend } = await chooseBackend('cpu');
const model = await loadModel(await openFolder(folder), {
  quantization: { type: 'nf4', doubleQuantization: true },
  backend: async () => backend,
});
const [, peak] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
const deviceBytes = backend.memory.bytes;
await model.dispose();
backend.dispose();
console.log(JSON.stringify({ peakBytes: Number(peak) * 1024, deviceBytes }));
