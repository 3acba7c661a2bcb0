// Which faults a command is given.
import { execFileSync } from 'node:child_process';

/** @typedef {import('./trials.mjs').Fault} Fault */
/** @typedef {import('./trials.mjs').Trials} Trials */

/** Random numbers of a seed (mulberry32). @param {number} seed */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * SIGKILL at random moments: half of them anywhere in the run, half within the time after its first change on disk.
 *
 * @param {Trials} trials
 * @param {number} count
 * @param {() => number} random
 * @returns {Fault[]}
 */
export function randomKills({ versions }, count, random) {
  return Array.from({ length: count }, (_, at) => {
    const fromWriting = at % 2 === 1;
    const killAfter = random() * (fromWriting ? versions.new.milliseconds / 3 : versions.new.milliseconds);
    return { label: `SIGKILL after ${killAfter.toFixed(0)} ms`, killAfter, fromWriting };
  });
}

/**
 * A fault at each operation on files (hook.mjs).
 *
 * @param {Trials} trials
 * @param {'kill' | 'full' | 'error'} operation
 * @returns {Fault[]}
 */
export function atOperations({ versions }, operation) {
  return versions.new.operations.map((text, at) => ({
    label: `${operation} at operation ${at + 1}, ${text}`,
    operation,
    at: at + 1,
  }));
}

/**
 * Files that may not grow beyond so many bytes: none at all, and each length that a file has, less one, and half.
 *
 * @param {number[]} lengths
 * @returns {Fault[]}
 */
export function limits(lengths) {
  const sizes = new Set([0, 1, ...lengths.flatMap((length) => [length >> 1, length - 1, length])]);
  return [...sizes].sort((a, b) => a - b).map((fileBytes) => ({ label: `ulimit -f ${fileBytes} bytes`, fileBytes }));
}

/** Calls of the system that change a disk. */
export const calls = ['fsync', 'rename', 'unlink', 'rmdir', 'mkdir', 'ftruncate', 'link', 'pwrite64', 'write'];

/**
 * SIGKILL, ENOSPC and EIO at each call of the system (strace). `write` is only killed at: which one is a file's and
 * which one wakes another thread, and may not fail, differs from run to run.
 *
 * @param {readonly { call: string, when: number }[]} made
 * @returns {Fault[]}
 */
export function atCalls(made) {
  return made.flatMap(({ call, when }) =>
    ['signal=KILL', ...(call === 'write' ? [] : ['error=ENOSPC', 'error=EIO'])].map((what) => ({
      label: `${what} at ${call} ${when}`,
      strace: ['-e', `trace=${call}`, '-e', `inject=${call}:${what}:when=${when}`],
    })),
  );
}

export function hasStrace() {
  try {
    execFileSync('strace', ['-V'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
