/**
 * `node bench/kernels.mjs [--config SmolLM2-135M] [--method lora|qlora|full] [--batch-size 8] [--max-length 512]
 * [--tier portable|subgroups|f16|matrices] [--out kernels.json] [--groups] [--of step|text|token]` Writes every kernel
 * of a training step (or of writing a text, or a token of it) as `[{label, code, launches, bytes}]`, without a GPU: for
 * compilers of GPUs that are not at hand. `--groups` prints dispatches and bytes by groups of launches. Build first.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { planKernels, planTraffic } from 'lowrank/node';
import { profileOf } from '@lowrank/webgpu';

const { values } = parseArgs({
  options: {
    config: { type: 'string', default: 'SmolLM2-135M' },
    method: { type: 'string', default: 'lora' },
    'batch-size': { type: 'string', default: '8' },
    'max-length': { type: 'string', default: '512' },
    tier: { type: 'string', default: 'subgroups' },
    out: { type: 'string', default: 'kernels.json' },
    groups: { type: 'boolean', default: false },
    of: { type: 'string', default: 'step' },
  },
});
const features = ['subgroups', 'shader-f16', 'subgroup-size-control', 'chromium-experimental-subgroup-matrix'];
const subgroupMatrices = [{ m: 16, n: 16, k: 16, operand: 'f16', sum: 'f32' }];
const gpu = {
  vendor: 'any',
  architecture: '',
  device: '',
  description: '',
  software: false,
  features,
  subgroupMatrices,
};
const options = {
  config: values.config,
  method: values.method,
  batchSize: Number(values['batch-size']),
  maxLength: Number(values['max-length']),
  targetModules: 'all-linear',
  of: values.of,
  profile: profileOf({ ...gpu, subgroupMinSize: 32, subgroupMaxSize: 32 }, { tier: values.tier }),
};
if (values.groups) printGroups(await planTraffic(options));
const kernels = await planKernels(options);
writeFileSync(values.out, JSON.stringify(kernels, undefined, 1));
const launches = kernels.reduce((sum, kernel) => sum + kernel.launches, 0);
const bytes = kernels.reduce((sum, kernel) => sum + kernel.bytes, 0);
console.log(`${kernels.length} kernels, ${launches} dispatches, ${(bytes / 1e9).toFixed(1)} GB bound → ${values.out}`);

/** @param {readonly import('lowrank/node').LaunchCost[]} costs */
function printGroups(costs) {
  console.log('| group | dispatches | GB |\n| --- | ---: | ---: |');
  for (const { group, dispatches, bytes } of costs) console.log(`| ${group} | ${dispatches} | ${gigabytes(bytes)} |`);
  const sum = (/** @type {'dispatches' | 'bytes'} */ of) => costs.reduce((total, cost) => total + cost[of], 0);
  console.log(`| all | ${sum('dispatches')} | ${gigabytes(sum('bytes'))} |`);
}

/** @param {number} bytes */
function gigabytes(bytes) {
  return (bytes / 1e9).toFixed(2);
}
