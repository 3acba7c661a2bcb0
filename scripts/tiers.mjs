// Every tier of kernels on every driver: `node scripts/tiers.mjs [options] [files]` runs the tests of kernels (or those
// files of them: `matmul rope`) for each tier that a driver reaches, and prints a table of what passed where. The last
// line is `N passed, N failed`; a driver that is not here is named in capitals, and counts as nothing.
//
//   --drivers NAMES   of swiftshader, lavapipe, lavapipe4, lavapipe8, wgpu (default: all)
//   --tiers NAMES     of those that a driver reaches (default: all)
//   --golden STEPS    so many steps of stories260K against PyTorch's too, with LoRA and QLoRA (30 there are)
//   --only-golden     nothing but those
//   --bounds          every index of kernels is checked (packages/webgpu/src/testing/boundsCheck.ts)
//   --short           what CI runs: each tier, on the driver that has it alone where there is one
//   --out FILE        the table as JSON too
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cache, root, shared } from './lib/paths.mjs';
import { run, seconds } from './lib/process.mjs';
import { shortRuns, testDrivers } from './lib/testDrivers.mjs';
import { rowsOf, tableOf } from './lib/tierTable.mjs';

/** @typedef {import('./lib/testDrivers.mjs').TierRun} TierRun */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    drivers: { type: 'string', default: Object.keys(testDrivers).join() },
    tiers: { type: 'string' },
    golden: { type: 'string' },
    'only-golden': { type: 'boolean', default: false },
    bounds: { type: 'boolean', default: false },
    short: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});

const vitest = join(root, 'node_modules/vitest/vitest.mjs');
const kernels = 'packages/webgpu/src/kernels/';

/** What the options ask for: a run on each driver. @returns {TierRun[]} */
function askedRuns() {
  const steps = values.golden === undefined ? undefined : Number(values.golden);
  if (Number.isNaN(steps)) throw new Error(`--golden ${values.golden}: expected a number of steps`);
  return values.drivers.split(',').map((name) => {
    const driver = testDrivers[name];
    if (driver === undefined) throw new Error(`--drivers ${name}: expected ${Object.keys(testDrivers).join(', ')}`);
    const asked = values.tiers?.split(',') ?? driver.tiers;
    const tiers = driver.tiers.filter((tier) => asked.includes(tier));
    return { driver, tiers, files: values['only-golden'] ? undefined : positionals, steps };
  });
}

/** @param {TierRun} asked @param {string} report where vitest's goes */
function vitestArguments({ files, only, steps }, report) {
  const projects = [
    ...(files === undefined ? [] : ['webgpu']),
    ...(steps === undefined || shared === undefined ? [] : ['shared']),
  ];
  return [
    ...projects.flatMap((project) => ['--project', project]),
    ...(only === undefined ? [] : ['--testNamePattern', only]),
    '--reporter=verbose',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...(files?.length === 0 ? [kernels] : (files ?? []).map((name) => `${kernels}${name}.`)),
    ...(projects.includes('shared') ? ['tests/golden/tiers.'] : []),
  ];
}

/** @param {TierRun} asked @returns {Promise<import('./lib/tierTable.mjs').Row[] | string>} or what is missing for it */
async function runTiers(asked) {
  const { driver, tiers, files, only, steps, bounds = values.bounds } = asked;
  if (tiers.length === 0) return `${driver.title} has no tier of ${values.tiers}`;
  if (files === undefined && shared === undefined) return `${driver.title}: ../shared is not here`;
  const launch = await driver.launch();
  if (typeof launch === 'string') return `${driver.title}: ${launch}`;
  const started = Date.now();
  const file = join(cache, 'tiers.json');
  rmSync(file, { force: true });
  const env = {
    ...launch.env,
    LOWRANK_TEST_TIERS: tiers.join(),
    LOWRANK_GOLDEN_STEPS: steps?.toString(),
    LOWRANK_BOUNDS: bounds ? '1' : undefined,
  };
  const args = [...launch.args, vitest, 'run', ...launch.options, ...vitestArguments(asked, file)];
  const { code } = await run(launch.program, args, { env });
  console.log(`${driver.title}, ${tiers.join(', ')}: exit code ${code} after ${seconds(started)}`);
  const report = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
  return rowsOf({ driver: driver.title, tiers, report, code, narrowed: only !== undefined });
}

const runs = values.short ? shortRuns : askedRuns();
const rows = [];
const missing = [];
for (const asked of runs) {
  const found = await runTiers(asked);
  if (typeof found === 'string') missing.push(found);
  else rows.push(...found);
}
if (shared === undefined && runs.some(({ steps }) => steps !== undefined))
  missing.push('the runs of PyTorch: ../shared is not here');
if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(rows, undefined, 1)}\n`);
console.log(`\n${tableOf(rows)}\n`);
for (const line of missing) console.log(`NOT RUN: ${line.toUpperCase()}`);
const sum = (/** @type {'passed' | 'failed'} */ of) => rows.reduce((total, row) => total + row[of], 0);
console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
process.exitCode = sum('failed') === 0 ? 0 : 1;
