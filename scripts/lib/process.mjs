import { spawn } from 'node:child_process';
import { root } from './paths.mjs';

/**
 * Runs a program and resolves with how it ended.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {{ quiet?: boolean, env?: Record<string, string | undefined>, cwd?: string }} [options]
 *   quiet: collect the output instead of showing it.
 * @returns {Promise<{ code: number, output: string }>} code is 1 when a signal ended it and 127 when it did not start.
 */
export function run(program, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: options.cwd ?? root,
      env: { ...process.env, ...options.env },
      stdio: ['inherit', options.quiet ? 'pipe' : 'inherit', options.quiet ? 'pipe' : 'inherit'],
      // npx is a .cmd file on Windows, which only a shell starts.
      shell: process.platform === 'win32',
    });
    let output = '';
    child.stdout?.on('data', (chunk) => (output += chunk));
    child.stderr?.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => resolve({ code: 127, output: `${output}${error.message}\n` }));
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

/** @param {number} since a Date.now() value */
export function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}
