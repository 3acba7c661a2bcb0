import { execFileSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from '../../scripts/lib/paths.mjs';

/** The machine's processor and memory. */
export function machine() {
  const [first] = cpus();
  return {
    cpu: first?.model.trim() ?? 'unknown processor',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    /** Others' work at the start: above 0.5 or so, absolute times mean little. */
    loadAverage: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
}

/** Versions of what is measured. */
export function versions() {
  return {
    node: process.versions.node,
    v8: process.versions.v8,
    lowrank: commit(),
    jaxJs: versionOf('@jax-js/jax'),
    tfjs: versionOf('@tensorflow/tfjs-core'),
    webgpu: versionOf('webgpu'),
  };
}

/** The commit, with `+` where packages or bench differ from it. */
function commit() {
  const git = (...args) =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    const changed = git('status', '--porcelain', '--', 'packages', 'bench') !== '';
    return git('rev-parse', '--short', 'HEAD') + (changed ? '+' : '');
  } catch {
    return 'unknown commit';
  }
}

/** @param {string} name a dependency of this package */
function versionOf(name) {
  try {
    const home = realpathSync(join(dirname(fileURLToPath(import.meta.url)), '../node_modules', name));
    return JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')).version;
  } catch {
    return 'not installed';
  }
}
