import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';
import { findVulkanDriver } from '../../scripts/lib/vulkanDriver.mjs';

/**
 * For tests in the browser: `lowrank train` of the built packages, in Node.
 *
 * @param {unknown} _context vitest's
 * @param {'cpu' | 'webgpu'} device
 * @param {string[]} args all but `--output`, with paths from the root of the checkout
 * @returns {Promise<{ steps: { step: number, loss: number, grad_norm: number }[], result: object }>}
 */
export async function trainInNode(_context, device, args) {
  const output = await mkdtemp(join(tmpdir(), 'trainInNode-'));
  try {
    const cli = join(root, 'packages/lowrank/dist/cli.js');
    const lines = await linesOf([
      cli,
      'train',
      ...args,
      '--output',
      join(output, 'adapter'),
      '--device',
      device,
      '--json',
    ]);
    const result = lines.pop();
    return { steps: lines, result };
  } finally {
    await rm(output, { recursive: true, force: true });
  }
}

/** @param {string[]} args @returns {Promise<any[]>} what the command printed, a value per line */
async function linesOf(args) {
  const { env } = await findVulkanDriver();
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let complaints = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (complaints += chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0)
        resolve(
          output
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line)),
        );
      else reject(new Error(`lowrank train ended with code ${code}\n${complaints}`));
    });
  });
}
