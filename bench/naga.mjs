/**
 * `node bench/naga.mjs` compiles every kernel of a training step of SmolLM2-135M with LoRA and QLoRA and of a text that
 * it writes, in the tiers portable and f16, with naga, the compiler of wgpu and Firefox, which Deno carries. Exits with
 * 1 where it refuses one. Build first. On Linux it takes Mesa's lavapipe.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { profileOf } from '@lowrank/webgpu';
import { planKernels } from 'lowrank/node';
import { findVulkanDriver } from '../scripts/lib/vulkanDriver.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const gpu = { vendor: 'any', architecture: '', device: '', description: '', software: false };
const adapter = { ...gpu, features: ['shader-f16'], subgroupMinSize: undefined, subgroupMaxSize: undefined };
const kernels = new Map();
for (const tier of ['portable', 'f16'])
  for (const method of ['lora', 'qlora'])
    for (const of of ['step', 'text']) {
      const step = { config: 'SmolLM2-135M', targetModules: 'all-linear', batchSize: 8, maxLength: 512, method, of };
      for (const { label, code } of await planKernels({ ...step, profile: profileOf(adapter, { tier }) }))
        kernels.set(code, { label: `${tier}: ${label}`, code });
    }
const folder = mkdtempSync(join(tmpdir(), 'naga-'));
try {
  const file = join(folder, 'kernels.json');
  writeFileSync(file, JSON.stringify([...kernels.values()]));
  const { VK_DRIVER_FILES: _, ...own } = process.env;
  const { env } = await findVulkanDriver({ ...own, LOWRANK_VK: 'lavapipe' });
  const options = ['run', '-A', '--unstable-webgpu', '--node-modules-dir=manual', '--no-lock'];
  const { status } = spawnSync(
    join(root, 'node_modules/.bin/deno'),
    [...options, join(root, 'bench/lib/compileInDeno.mjs'), file],
    { stdio: 'inherit', env: { ...own, ...env, DENO_NO_UPDATE_CHECK: '1' } },
  );
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true });
}
