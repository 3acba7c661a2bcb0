/**
 * `node bench/judge.mjs [--chips m1,ampere] [--methods lora,qlora] [--keep]` Compiles every kernel of a training step
 * of SmolLM2-135M (LoRA r = 8 on all linear layers, 8×512) and of a text that it writes, in every tier that a GPU
 * reaches, with the compilers of real GPUs, and prints what they say: registers, spills, and how many warps fit. Exits
 * with 1 where a kernel does not compile, spills to memory, is not on the matrix units that it was made for, takes much
 * longer with NF4 than with bf16, or fits fewer warps than in results/judge.json, which --keep writes anew. Build
 * first. The compilers are Mesa's, set up by ../shared/gpu-judges (LOWRANK_JUDGES elsewhere); without them it says so,
 * and exits with 0.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { profileOf, tiers } from '@lowrank/webgpu';
import { planKernels } from 'lowrank/node';
import { chips, familyOf, readFigures } from './lib/judgeFigures.mjs';

/** @typedef {import('lowrank/node').PlannedKernel} PlannedKernel */

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = resolve(root, process.env.LOWRANK_JUDGES ?? '../shared/gpu-judges');
const kept = join(root, 'bench/results/judge.json');

const { values } = parseArgs({
  options: {
    chips: { type: 'string', default: Object.keys(chips).join() },
    methods: { type: 'string', default: 'lora,qlora' },
    keep: { type: 'boolean', default: false },
  },
});

/**
 * Chips of a vendor get the same kernels.
 *
 * @type {Map<string, Promise<{ kernels: PlannedKernel[], pairs: Record<'codes' | 'dense', PlannedKernel[]>[] }>>}
 */
const planned = new Map();

function kernelsFor(chip) {
  const { vendor } = chips[chip];
  const known = planned.get(vendor) ?? planKernelsFor(chip);
  planned.set(vendor, known);
  return known;
}

/** Each distinct kernel for a chip once; and products over NF4, with those over bf16 that do the same. */
async function planKernelsFor(chip) {
  const { vendor, lanes, matrices, workgroupMemory } = chips[chip];
  const features = ['subgroups', 'shader-f16', 'subgroup-size-control', 'chromium-experimental-subgroup-matrix'];
  const adapter = { vendor, architecture: '', device: '', description: '', software: false, features };
  const gpu = {
    ...adapter,
    ...lanes,
    subgroupMatrices: matrices.map((size) => ({ ...size, operand: 'f16', sum: 'f32' })),
  };
  const step = { config: 'SmolLM2-135M', targetModules: 'all-linear', batchSize: 8, maxLength: 512 };
  const byCode = new Map();
  const pairs = new Map();
  for (const of of ['step', 'text'])
    for (const tier of tiers.filter((name) => name !== 'registers' && (name !== 'matrices' || matrices.length > 0))) {
      const options = { ...step, of, workgroupMemory, profile: profileOf(gpu, { tier }) };
      for (const method of values.methods.split(','))
        for (const kernel of await planKernels({ ...options, method })) byCode.set(kernel.code, kernel);
      const [dense, codes] = await Promise.all(
        ['lora', 'qlora'].map((method) => planKernels({ ...options, method, apart: true })),
      );
      for (const kernel of codes.filter(({ label }) => / block4 (\w+ )?(tile|matrix) /.test(label))) {
        // Of one label are a product, and the same with an addend, which costs either.
        const label = kernel.label.replaceAll(' block4 ', ' bf16 ');
        const same = codes.filter((other) => other.label === kernel.label);
        pairs.set(`${of} ${tier} ${label}`, { codes: same, dense: dense.filter((other) => other.label === label) });
      }
    }
  return { kernels: [...byCode.values()], pairs: [...pairs.values()] };
}

/**
 * What the compiler of one chip prints about the kernels of a file. It goes through files: what waits in a pipe until
 * this process has time to read it is lost when the compiler ends. Its exit code is no matter: what does not compile
 * stands in what it prints.
 *
 * @returns {Promise<{ stdout: string, stderr: string }>}
 */
async function compiled(chip, file, environment) {
  const [command, args] = [join(folder, 'judge'), [chip, join(folder, 'compile.mjs'), file]];
  const [out, err] = [`${file}.out`, `${file}.err`];
  const streams = [out, err].map((name) => openSync(name, 'w'));
  try {
    await new Promise((settle, reject) =>
      spawn(command, args, {
        cwd: join(root, 'packages/webgpu'),
        env: { ...process.env, VKSTATS: '1', ...environment },
        stdio: ['ignore', ...streams],
      })
        .on('error', reject)
        .on('close', settle),
    );
  } finally {
    streams.forEach((stream) => closeSync(stream));
  }
  return { stdout: readFileSync(out, 'utf8'), stderr: readFileSync(err, 'utf8') };
}

/** What is told of kernels. @returns {Promise<ReturnType<typeof readFigures>>} */
async function judged(chip, kernels, scratch) {
  const file = join(scratch, `${chip}.json`);
  writeFileSync(file, JSON.stringify(kernels));
  const { stdout, stderr } = await compiled(chip, file, { VKSTATS_OUT: join(scratch, `${chip}.tsv`) });
  const figures = readFigures(chip, stdout);
  if (figures.length !== kernels.length)
    throw new Error(`${chip}: figures of ${figures.length} kernels of ${kernels.length}\n${stdout}\n${stderr}`);
  return figures;
}

/** Whether the assembly of a kernel has the instruction of the chip's matrix units. */
async function usesMatrixUnits(chip, kernel, scratch) {
  const { instruction } = chips[chip];
  const assembly = mkdtempSync(join(scratch, 'assembly-'));
  const file = join(assembly, 'kernel.json');
  writeFileSync(file, JSON.stringify([kernel]));
  await compiled(chip, file, { VKSTATS_OUT: join(assembly, 'stats.tsv'), VKSTATS_IR: assembly });
  return readdirSync(assembly).some(
    (name) => name.endsWith('.txt') && readFileSync(join(assembly, name), 'latin1').includes(instruction),
  );
}

/** One kernel of each family on subgroup matrices. */
function matrixKernels(kernels) {
  const families = new Map();
  for (const kernel of kernels)
    if (kernel.code.includes('subgroupMatrixMultiplyAccumulate')) families.set(familyOf(kernel.label), kernel);
  return [...families.values()];
}

/** The dearest of each family: most registers, fewest warps. */
function byFamily(figures) {
  const families = {};
  for (const { label, registers, warps, spills, cycles } of figures) {
    const family = (families[familyOf(label)] ??= { kernels: 0, registers: 0, warps: Infinity, spills: 0, cycles: 0 });
    family.kernels++;
    family.registers = Math.max(family.registers, registers);
    family.warps = Math.min(family.warps, warps);
    family.spills += spills;
    family.cycles = Math.max(family.cycles, cycles);
  }
  return families;
}

/** Chips on which a product with NF4 may take so many times the cycles of one with bf16 in the same tile. */
const codesMayTake = { ampere: 1.05, navi31: 1.05, m1: 1.05 };

/**
 * Products with codes that take longer than they may, beside those over bf16 of the same shape and form: of a training
 * step and of a written text, each in a launch of its own. Of several launches as one, compilers weigh the cycles of
 * each by how it is branched to.
 */
function slowCodes(chip, pairs, cycles) {
  const most = codesMayTake[chip];
  if (most === undefined) return [];
  if (pairs.length === 0) return [`${chip}: no product with codes`];
  return pairs.flatMap(({ codes, dense }) => {
    const [ours, theirs] = [codes, dense].map((kernels) => Math.min(...kernels.map(({ code }) => cycles.get(code))));
    if (dense.length === 0) return [`${chip}: ${codes[0].label} has none with bf16 beside it`];
    return ours <= most * theirs ? [] : [`${chip}: ${codes[0].label} takes ${(ours / theirs).toFixed(2)} × bf16's`];
  });
}

function complaintsOf(chip, figures, families, before) {
  const failures = figures.filter(({ failure }) => failure !== undefined);
  const spilling = figures.filter(({ spills }) => spills > 0);
  const fallen = Object.entries(families).filter(([name, { warps }]) => warps < (before?.[name]?.warps ?? 0));
  return [
    ...failures.map(({ label, failure }) => `${chip}: ${label} does not compile: ${failure}`),
    ...spilling.map(({ label, spills }) => `${chip}: ${label} spills ${spills} registers to memory`),
    ...fallen.map(([name, { warps }]) => `${chip}: ${name} fits ${warps}, ${before[name].warps} before`),
  ];
}

/** What a chip's compiler says of all kernels, and what is wrong with it. */
async function verdictOf(chip, scratch) {
  const { kernels, pairs } = await kernelsFor(chip);
  const compared = codesMayTake[chip] === undefined ? [] : pairs.flatMap(({ codes, dense }) => [...codes, ...dense]);
  const apart = compared.filter(({ code }) => !kernels.some((kernel) => kernel.code === code));
  const all = [...kernels, ...new Map(apart.map((kernel) => [kernel.code, kernel])).values()];
  const told = await judged(chip, all, scratch);
  const cycles = new Map(told.map((figure, at) => [all[at]?.code, figure.cycles]));
  const figures = told.slice(0, kernels.length);
  const families = byFamily(figures.filter(({ failure }) => failure === undefined));
  const onUnits = matrixKernels(kernels);
  const missing = [];
  for (const kernel of onUnits) if (!(await usesMatrixUnits(chip, kernel, scratch))) missing.push(kernel);
  return {
    families,
    units: { all: onUnits.length, on: onUnits.length - missing.length },
    complaints: [
      ...complaintsOf(chip, figures, families, before[chip]),
      ...slowCodes(chip, pairs, cycles),
      ...missing.map(({ label }) => `${chip}: ${label} has no ${chips[chip].instruction}`),
    ],
  };
}

function print(chip, families, before) {
  console.log(`\n${chip} (${chips[chip].unit})`);
  for (const [name, { kernels, registers, warps, cycles }] of Object.entries(families).sort(([a], [b]) =>
    a < b ? -1 : 1,
  )) {
    const old = before?.[name];
    const change = old === undefined || old.cycles === cycles ? '' : ` (${old.cycles} before)`;
    const cells = [name.padEnd(36), `${kernels} kernels`.padStart(12), `${registers} registers`.padStart(15)];
    console.log(`  ${cells.join('')}${`${warps} fit`.padStart(9)}   ${cycles} ${chips[chip].work}${change}`);
  }
}

if (!existsSync(join(folder, 'setup'))) {
  console.log('THE COMPILERS OF REAL GPUS WERE NOT ASKED: ../shared/gpu-judges is not here');
  process.exit(0);
}
const setup = spawnSync(join(folder, 'setup'), { encoding: 'utf8' });
if (setup.status !== 0) {
  console.log(`THE COMPILERS OF REAL GPUS WERE NOT ASKED: they cannot be set up here\n${setup.stderr}`);
  process.exit(0);
}
console.log(`the kernels of a step of SmolLM2-135M, ${values.methods}, in every tier`);
const scratch = mkdtempSync(join(tmpdir(), 'judge-'));
const before = existsSync(kept) ? JSON.parse(readFileSync(kept, 'utf8')) : {};
const wanted = values.chips.split(',');
const results = { ...before };
const complaints = [];
try {
  const verdicts = new Map();
  const waiting = [...wanted];
  const judgeNext = async () => {
    for (let chip = waiting.shift(); chip !== undefined; chip = waiting.shift())
      verdicts.set(chip, await verdictOf(chip, scratch));
  };
  // Each compiler takes one core.
  await Promise.all(Array.from({ length: availableParallelism() }, judgeNext));
  for (const chip of wanted) {
    const { families, units, complaints: own } = verdicts.get(chip);
    results[chip] = families;
    print(chip, families, before[chip]);
    if (units.all > 0) console.log(`  ${units.on} of ${units.all} families on matrix units`);
    complaints.push(...own);
  }
} finally {
  rmSync(scratch, { recursive: true });
}
if (values.keep) writeFileSync(kept, `${JSON.stringify(results, undefined, 1)}\n`);
console.log(complaints.length === 0 ? '\nno failure, no spill, no fewer warps' : `\n${complaints.join('\n')}`);
process.exit(complaints.length === 0 ? 0 : 1);
