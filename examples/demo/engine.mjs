/** The command line as pretrain.mjs drives it: one JSON object per line. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cli = fileURLToPath(new URL('../../packages/lowrank/dist/cli.js', import.meta.url));

/** @param {Record<string, string | number>} settings @returns {string[]} `{ steps: 3 }` as `['--steps', '3']` */
export const flags = (settings) => Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);

/**
 * Runs `lowrank <args> --json`.
 * @param {string[]} args
 * @param {{ onLine?: (line: object) => void }} [options] `onLine` sees every line but the last, such as a step's loss
 * @returns {Promise<any>} the last line: the command's result
 */
export function lowrank(args, { onLine } = {}) {
  if (!existsSync(cli))
    throw new Error(`Lowrank is not built: ${cli} does not exist. Run \`npm run build\` at the root.`);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...args, '--json'], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let last;
    let complaints = '';
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (last !== undefined) onLine?.(JSON.parse(last));
      last = line;
    });
    child.stderr.on('data', (chunk) => (complaints += chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0 && last !== undefined) resolve(JSON.parse(last));
      else reject(new Error(`lowrank ${args[0]} ended with code ${code}.\n${complaints}`));
    });
  });
}
