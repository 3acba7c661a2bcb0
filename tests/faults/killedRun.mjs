// A run that saves every second step, killed at random moments and resumed until it is done.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';

const golden = join(root, 'parity/golden/llama');
const cli = join(root, 'packages/lowrank/dist/cli.js');

export const saveEvery = 2;
export const steps = 24;

/** Everything that has to be restored is on. */
const argv = [
  ['train', '--model', join(golden, 'tied'), '--data', join(golden, 'train/rows.jsonl')],
  ['--eval-data', join(golden, 'train/eval.jsonl'), '--eval-every', '3'],
  ['--r', '176', '--dropout', '0.2', '--optimizer', 'adamw8bit', '--learning-rate', '5e-3', '--schedule', 'cosine'],
  ['--batch-size', '2', '--gradient-accumulation', '2', '--steps', String(steps)],
  ['--save-every', String(saveEvery), '--keep-last', '2', '--device', 'cpu', '--json'],
].flat();

/**
 * @typedef {object} Ended
 * @property {number | null} code
 * @property {number} lastStep the last step that it told
 * @property {{ resumed_from?: number | null, steps?: number } | undefined} result
 * @property {string} stderr
 */

/**
 * One call of the command, killed after so many milliseconds of training (from its first step on), or not at all.
 *
 * @param {string} output
 * @param {{ kill?: { phase: 'start' | 'steps', after: number } }} [options]
 * @returns {Promise<Ended>}
 */
export function call(output, { kill } = {}) {
  const child = spawn(process.execPath, [cli, ...argv, '--output', output], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  const strike = () => void setTimeout(() => child.kill('SIGKILL'), kill?.after ?? 0);
  if (kill?.phase === 'start') strike();
  child.stderr.on('data', (text) => (stderr += text));
  child.stdout.on('data', (text) => {
    if (kill?.phase === 'steps' && stdout === '') strike();
    stdout += text;
  });
  return new Promise((resolve) =>
    child.on('close', (code) => {
      const lines = stdout.split('\n').flatMap((line) => parsed(line));
      const lastStep = Math.max(0, ...lines.flatMap(({ step = 0 }) => step));
      resolve({ code, lastStep, stderr, result: lines.findLast((line) => 'stopped_by' in line) });
    }),
  );
}

/** @param {string} line */
function parsed(line) {
  try {
    return [JSON.parse(line)];
  } catch {
    return [];
  }
}

/** What a run is judged by. @param {string} output */
export function learned(output) {
  const metrics = readFileSync(join(output, 'metrics.jsonl'), 'utf8').trimEnd().split('\n');
  const record = JSON.parse(readFileSync(join(output, 'run.json'), 'utf8'));
  return {
    weights: readFileSync(join(output, 'adapter_model.safetensors')).toString('base64'),
    metrics: metrics.map((line) => {
      const { tokens_per_second: _, ...rest } = JSON.parse(line);
      return rest;
    }),
    best: record.best,
    // TensorBoard has a file for each process.
    files: readdirSync(output)
      .filter((name) => !name.startsWith('events.'))
      .sort(),
  };
}

/** The last whole checkpoint. @param {string} output */
export function lastCheckpoint(output) {
  const names = existsSync(output) ? readdirSync(output) : [];
  const whole = names.filter((name) => existsSync(join(output, name, 'trainer_state.json')));
  return Math.max(0, ...whole.map((name) => Number(name.replace('checkpoint-', ''))));
}

/** @param {string} output */
function isFinished(output) {
  const record = join(output, 'run.json');
  return existsSync(record) && JSON.parse(readFileSync(record, 'utf8')).status === 'finished';
}

/**
 * Kills the run at these moments, one after another, and lets it end; returns what is wrong.
 *
 * @param {string} output
 * @param {readonly { phase: 'start' | 'steps', after: number }[]} kills
 * @returns {Promise<string[]>}
 */
export async function disturbed(output, kills) {
  const findings = [];
  for (const kill of kills) {
    const { code, lastStep, result, stderr } = await call(output, { kill });
    // Killed once the result was there, told or not: the lock goes with whoever writes there next.
    if (result !== undefined || isFinished(output)) {
      for (const name of readdirSync(output).filter((file) => file.startsWith('.lowrank-lock-')))
        rmSync(join(output, name));
      return findings;
    }
    if (code !== null) findings.push(`exit ${code} instead of a kill: ${stderr}`);
    // A step is told once its numbers are there; its checkpoint may be on the way.
    const saved = lastCheckpoint(output);
    if (lastStep - saved > saveEvery) findings.push(`killed after step ${lastStep}, and only step ${saved} is saved`);
  }
  const before = lastCheckpoint(output);
  const { code, result, stderr } = await call(output);
  // Killed once the result was decided: this call has moved it to its place, and there is nothing left to be done.
  if (code === 2 && isFinished(output)) return findings;
  if (code !== 0 || result?.steps !== steps) findings.push(`it does not go on (exit ${code}): ${stderr}`);
  // A saving that was decided is finished by whoever comes next.
  if (before > (result?.resumed_from ?? 0))
    findings.push(`it goes on from ${result?.resumed_from}, not from ${before}`);
  return findings;
}
