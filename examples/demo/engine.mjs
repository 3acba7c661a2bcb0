/** How the demo's scripts drive Lowrank: through its command line, one JSON object per line. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
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
  if (!existsSync(cli)) throw new Error(`Lowrank is not built: ${cli} does not exist. Run \`npm run demo\` at the root.`);
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

/**
 * Greedy answers to many prompts, the model loaded once.
 * @param {{ model: string, adapter?: string, device: string, prompts: string[], maxNewTokens: number, onProgress?: (done: number) => void }} options
 * @returns {Promise<string[]>} the new text only, in the prompts' order
 */
export async function answer({ model, adapter, device, prompts, maxNewTokens, onProgress }) {
  const texts = [];
  for (const prompt of prompts) {
    const args = ['generate', '--model', model, ...(adapter ? ['--adapter', adapter] : []), '--device', device];
    const { text } = await lowrank([...args, '--prompt', prompt, '--max-new-tokens', String(maxNewTokens), '--temperature', '0']);
    texts.push(text);
    onProgress?.(texts.length);
  }
  return texts;
}
