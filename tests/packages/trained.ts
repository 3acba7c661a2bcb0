import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';

/** What the page's code returns. */
export interface Trained {
  readonly losses: readonly number[];
  readonly text: string;
}

/** How a runtime runs a script: its program, and what comes before the script. */
export type Runtime = readonly [program: string, ...args: string[]];

interface Wanted {
  /** As an ES module, or by `require`. */
  readonly form?: 'import' | 'require';
  readonly device?: 'cpu' | 'webgpu';
  readonly env?: NodeJS.ProcessEnv;
}

/** The page's code over the packed packages of a project. */
export function trainedIn(
  [program, ...args]: Runtime,
  project: string,
  { form = 'import', device = 'cpu', env = {} }: Wanted = {},
): Trained {
  const folder = mkdtempSync(join(project, 'script-'));
  const file = join(folder, form === 'import' ? 'script.mjs' : 'script.cjs');
  const code = readFileSync(join(root, 'tests/packages/app/main.js'), 'utf8').replace('export async', 'async');
  const required = code.replace(/import (\{[^}]*\}) from ('[^']+');/, 'const $1 = require($2);');
  const model = JSON.stringify(join(root, 'parity/golden/llama/tied'));
  const call = `main(${model}, { device: '${device}' }).then((result) => console.log(JSON.stringify(result)));\n`;
  writeFileSync(file, `${form === 'import' ? code : required}\n${call}`);
  const output = execFileSync(program, [...args, file], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1', ...env },
    // Pipelines that nothing has compiled before take long on a driver that is a CPU.
    timeout: device === 'webgpu' ? 220_000 : 110_000,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return JSON.parse(output) as Trained;
}

let inNode: Trained | undefined;

/** The same in this Node, once. */
export function trainedInNode(project: string): Trained {
  return (inNode ??= trainedIn([process.execPath], project));
}
