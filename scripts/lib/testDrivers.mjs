import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { cache, root } from './paths.mjs';
import { findVulkanDriver } from './vulkanDriver.mjs';

/**
 * How vitest runs on one driver: what starts it, what follows its name, and the environment.
 *
 * @typedef {{ program: string, args: string[], options: string[], env: Record<string, string | undefined> }} Launch
 */

/**
 * A driver, and the tiers that it reaches. Its launch is a sentence where it cannot be had here.
 *
 * @typedef {{ title: string, tiers: readonly string[], launch: () => Promise<Launch | string> }} TestDriver
 */

/**
 * Tests on a driver: of which kernels (all of an empty list, none of none), those whose name matches `only`, how many
 * steps of PyTorch's run, and whether every index of kernels is checked.
 *
 * @typedef {{
 *   driver: TestDriver;
 *   tiers: readonly string[];
 *   files?: readonly string[];
 *   only?: string;
 *   steps?: number;
 *   bounds?: boolean;
 * }} TierRun
 */

/** A fork would start without what this process was started with. */
const threads = ['--pool', 'threads'];
const portable = ['registers', 'portable'];
/** LLVM's optimization takes up to minutes for a kernel, of which a test runs milliseconds. */
const quickToCompile = { GALLIVM_PERF: 'nopt' };

/**
 * Every driver that kernels are tested on without a GPU.
 *
 * @type {Record<string, TestDriver>}
 */
export const testDrivers = {
  swiftshader: {
    title: 'Dawn, SwiftShader, subgroups of 4',
    tiers: [...portable, 'subgroups'],
    launch: () => withDriver({ LOWRANK_VK: 'swiftshader' }),
  },
  lavapipe: {
    title: 'Dawn, the system’s lavapipe, subgroups of 8',
    tiers: [...portable, 'subgroups', 'f16'],
    launch: () => withDriver({ LOWRANK_VK: 'lavapipe' }),
  },
  lavapipe4: {
    title: 'Dawn, lavapipe 26, subgroups of 4',
    tiers: [...portable, 'subgroups', 'f16'],
    launch: () => onJudges(128),
  },
  lavapipe8: {
    title: 'Dawn, lavapipe 26, subgroups of 8, matrices of 8×8×8',
    tiers: [...portable, 'subgroups', 'f16', 'matrices'],
    launch: () => onJudges(256),
  },
  // naga refuses `enable subgroups`, which the tiers subgroups and matrices begin with.
  wgpu: {
    title: 'wgpu with naga (Deno), the system’s lavapipe',
    tiers: [...portable, 'f16'],
    launch: inDeno,
  },
};

/** Each form of a product once, and a step of LoRA where steps are asked for. */
const ofProducts = {
  driver: testDrivers.lavapipe8,
  files: ['matmul', 'encoded'],
  only: 'rounds operands|adds a low-rank|rows8: with|LoRA layer|260K,',
  bounds: true,
};

/**
 * What CI runs, in a few minutes: on each driver what `npm test` does not have on its own. The tiers of 16 bits differ
 * from the others in products alone, of which each form runs once: compiling one on subgroup matrices takes a CPU a
 * second.
 *
 * @type {TierRun[]}
 */
export const shortRuns = [
  {
    driver: testDrivers.lavapipe4,
    tiers: ['subgroups'],
    files: ['matmul', 'attention', 'rmsNorm', 'layerNorm', 'reduce', 'crossEntropyRows', 'sampleThreshold'],
    steps: 2,
  },
  { ...ofProducts, tiers: ['f16'] },
  { ...ofProducts, tiers: ['matrices'], steps: 2 },
  // What keeps numbers of 16 bits in memory: the tiers of f32 do not.
  {
    driver: testDrivers.lavapipe8,
    tiers: ['f16'],
    files: ['attention', 'rmsNorm', 'layerNorm', 'rope', 'swiglu', 'crossEntropyRows', 'matmul/parts', 'matmul/target'],
    bounds: true,
  },
  {
    driver: testDrivers.wgpu,
    tiers: ['portable', 'f16'],
    files: ['adamw', 'cast', 'crossEntropyRows', 'elementwise', 'layerNorm', 'movement', 'random', 'reduce'],
  },
  {
    driver: testDrivers.wgpu,
    tiers: ['portable', 'f16'],
    files: ['matmul'],
    only: 'rounds operands|writes over|multiplies stacks',
  },
];

/** @param {Record<string, string>} wanted @returns {Promise<Launch | string>} */
async function withDriver(wanted) {
  const { VK_DRIVER_FILES: _, ...own } = process.env;
  try {
    const { env } = await findVulkanDriver({ ...own, ...wanted });
    return {
      program: process.execPath,
      args: [],
      options: [],
      env: { VK_DRIVER_FILES: undefined, ...quickToCompile, ...env },
    };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Deno carries wgpu, and the same vitest runs in it. @returns {Promise<Launch | string>} */
async function inDeno() {
  const launch = await withDriver({ LOWRANK_VK: 'lavapipe' });
  if (typeof launch === 'string') return launch;
  return {
    program: join(root, 'node_modules/.bin/deno'),
    args: ['run', '-A', '--unstable-webgpu', '--node-modules-dir=manual', '--no-lock'],
    options: threads,
    env: { ...launch.env, DENO_NO_UPDATE_CHECK: '1' },
  };
}

/**
 * Mesa of Debian unstable, unpacked beside the system's own libraries by ../shared/gpu-judges (LOWRANK_JUDGES
 * elsewhere): Node is started by its dynamic linker.
 *
 * @param {128 | 256} width of vectors in bits, which decides the size of subgroups
 * @returns {Promise<Launch | string>}
 */
async function onJudges(width) {
  const setup = resolve(root, process.env.LOWRANK_JUDGES ?? '../shared/gpu-judges', 'setup');
  if (!existsSync(setup)) return '../shared/gpu-judges is not here';
  const { status, stdout, stderr } = spawnSync(setup, { encoding: 'utf8' });
  const folder = stdout?.trim().split('\n').at(-1) ?? '';
  if (status !== 0) return `../shared/gpu-judges cannot be set up here: ${stderr?.trim().split('\n').at(-1)}`;
  const libraries = join(folder, 'root/usr/lib/x86_64-linux-gnu');
  return {
    program: join(libraries, 'ld-linux-x86-64.so.2'),
    args: ['--library-path', libraries, process.execPath],
    options: threads,
    env: {
      VK_DRIVER_FILES: join(folder, 'icd/lvp.json'),
      LP_NATIVE_VECTOR_WIDTH: String(width),
      ...quickToCompile,
      // Tiers share many shaders.
      MESA_SHADER_CACHE_DIR: join(cache, 'mesa'),
    },
  };
}
