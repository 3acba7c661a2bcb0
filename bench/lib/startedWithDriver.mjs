import { spawnSync } from 'node:child_process';
import { findVulkanDriver } from '../../scripts/lib/vulkanDriver.mjs';

/**
 * The dynamic linker reads its variables when a process starts, so a chosen software driver takes a process of its own.
 *
 * @returns {Promise<boolean>} true where this process has only to end
 */
export async function startedWithDriver() {
  if (!process.env.VK_DRIVER_FILES && !process.env.LOWRANK_VK) return false;
  const { env } = await findVulkanDriver();
  const missing = Object.entries(env).filter(
    ([name, value]) => process.env[name] !== value && !process.env[name]?.startsWith(`${value}:`),
  );
  if (missing.length === 0 || process.env.LOWRANK_BENCH_CHILD === '1') return false;
  const { status } = spawnSync(process.execPath, process.argv.slice(1), {
    env: { ...process.env, ...env, LOWRANK_BENCH_CHILD: '1' },
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
  return true;
}
