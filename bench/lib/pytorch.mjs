import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';

/** PyTorch's CPU step, through parity/pytorchStep.py, where a Python with torch is found. Nothing here needs one. */

const script = join(root, 'parity/pytorchStep.py');

/**
 * `LOWRANK_PYTHON` if it is set, else the first of python3 and python on the PATH that can import torch.
 *
 * @returns {Promise<{ python: string, torch: string } | { reason: string }>}
 */
export async function findPython(env = process.env) {
  const candidates = env.LOWRANK_PYTHON ? [env.LOWRANK_PYTHON] : ['python3', 'python'];
  const tried = [];
  for (const python of candidates) {
    const { code, stdout, stderr } = await collect(python, ['-c', 'import torch; print(torch.__version__)']);
    if (code === 0) return { python, torch: stdout.trim() };
    tried.push(`${python}: ${stderr.trim().split('\n').at(-1) || `exit code ${code}`}`);
  }
  return { reason: `no Python with torch (${tried.join('; ')}); LOWRANK_PYTHON names one` };
}

/**
 * One run of the script: a fresh model, `warmup` steps, then `steps` that are measured.
 *
 * @param {{ python: string, model: string, tokens: string, batchSize: number, r: number, steps: number, warmup: number,
 * threads: number }} options tokens: a JSON file with the ids and labels of each row, so that both sides train on the
 * same tokens
 * @returns {Promise<{ ms_per_step: number, tokens_per_second: number, first_loss: number, torch: string, library:
 * string, threads: number }>}
 */
export async function runPytorch({ python, model, tokens, batchSize, r, steps, warmup, threads }) {
  const flags = { model, tokens, 'batch-size': batchSize, r, steps, warmup, threads };
  const args = [script, ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])];
  const { code, stdout, stderr } = await collect(python, args, {
    OMP_NUM_THREADS: String(threads),
    MKL_NUM_THREADS: String(threads),
  });
  if (code !== 0) throw new Error(`${python} ${args.join(' ')} ended with code ${code}\n${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}

/** @returns {Promise<{ code: number, stdout: string, stderr: string }>} code 127 where the program does not start */
function collect(program, args, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => (output.stdout += chunk));
    child.stderr.on('data', (chunk) => (output.stderr += chunk));
    child.on('error', (error) => resolve({ code: 127, ...output, stderr: error.message }));
    child.on('close', (code) => resolve({ code: code ?? 1, ...output }));
  });
}
