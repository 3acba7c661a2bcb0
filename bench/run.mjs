/**
 * `pnpm bench [--only matmul,block,training,pytorch,overhead,quantized,serving] [--device cpu|webgpu] [--quick]
 * [--rounds N] [--json FILE] [--no-build]` Measures Lowrank beside its peers on every device present, in one run; see
 * README.md.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { root } from '../scripts/lib/paths.mjs';
import { runPnpm } from '../scripts/lib/workspace.mjs';
import { startedWithDriver } from './lib/startedWithDriver.mjs';

const parts = ['matmul', 'block', 'training', 'pytorch', 'overhead', 'quantized', 'serving'];
/** What changes which devices and peers are found, for the record; paths of one machine say nothing elsewhere. */
const recorded = ['VK_DRIVER_FILES', 'LOWRANK_VK', 'LOWRANK_GPU', 'LOWRANK_PYTHON'];

/**
 * @typedef {object} Report everything a run found, as it is printed and written
 * @property {string} command
 * @property {string} date
 * @property {ReturnType<typeof import('./lib/environment.mjs').machine>} machine
 * @property {ReturnType<typeof import('./lib/environment.mjs').versions>} versions
 * @property {{ id: string, description: string }[]} devices
 * @property {object | undefined} matmul
 * @property {object | undefined} block
 * @property {object | undefined} training
 * @property {object | undefined} quantized
 * @property {object | undefined} serving
 * @property {{ what: string, reason: string }[]} notRun
 * @property {{ what: string, message: string }[]} failed
 */

function readOptions() {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      device: { type: 'string', multiple: true },
      dawn: { type: 'string', multiple: true },
      json: { type: 'string' },
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      'no-build': { type: 'boolean', default: false },
    },
  });
  const only = new Set(values.only === undefined ? parts : values.only.split(','));
  const unknown = [...only].filter((part) => !parts.includes(part));
  if (unknown.length > 0) throw new Error(`--only ${unknown.join(',')}: expected some of ${parts.join(', ')}`);
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds >= 1))
    throw new Error(`--rounds ${values.rounds}: expected a whole number of at least 1`);
  return { ...values, only, rounds, build: !values['no-build'] };
}

/**
 * @param {Set<string>} only the parts that are asked for
 * @returns {Promise<Report>} a report in which nothing is measured yet
 */
async function emptyReport(only) {
  const { machine, versions } = await import('./lib/environment.mjs');
  const environment = recorded.flatMap((name) => (process.env[name] ? [`${name}=${basename(process.env[name])}`] : []));
  return {
    command: [
      ...environment,
      'pnpm bench',
      ...process.argv.slice(2).filter((arg, at, args) => !arg.startsWith('--json') && args[at - 1] !== '--json'),
    ].join(' '),
    date: new Date().toISOString(),
    machine: machine(),
    versions: versions(),
    devices: [],
    matmul: undefined,
    block: undefined,
    training: undefined,
    quantized: undefined,
    serving: undefined,
    notRun: parts.filter((part) => !only.has(part)).map((part) => ({ what: part, reason: 'left out by --only' })),
    failed: [],
  };
}

/** The devices that are here and asked for; the report says which they are, and which are not. */
async function chooseDevices(options, report) {
  const { findDevices } = await import('./lib/devices.mjs');
  const found = await findDevices({ dawn: options.dawn });
  const isAsked = ({ id }) =>
    options.device === undefined || options.device.some((name) => id === name || id.startsWith(`${name}-`));
  const devices = found.devices.filter(isAsked);
  report.devices = devices.map(({ id, description }) => ({ id, description }));
  report.notRun.push(
    ...found.absent.map(({ id, reason }) => ({ what: id, reason })),
    ...found.devices
      .filter((device) => !isAsked(device))
      .map(({ id }) => ({ what: id, reason: 'left out by --device' })),
  );
  return devices;
}

/**
 * The parts of a run: each measures on the devices and returns what it found, with what it could not run and what
 * failed. Imported late: before the build there may be nothing to import.
 */
const measurements = {
  async matmul({ devices, quick, rounds, log }) {
    const { matmulCases, runMatmul } = await import('./lib/matmul.mjs');
    return runMatmul({
      devices,
      rounds: rounds ?? (quick ? 3 : 15),
      sampleMs: quick ? 10 : 40,
      secondsPerCase: quick ? 5 : 20,
      cases: quick ? matmulCases.filter(({ name }) => name.startsWith('512³')) : matmulCases,
      log,
    });
  },
  async block({ devices, quick, rounds, log }) {
    const [{ runBlock }, { blockCases }] = await Promise.all([
      import('./lib/block.mjs'),
      import('./lib/blockModel.mjs'),
    ]);
    return runBlock({
      devices,
      rounds: rounds ?? (quick ? 3 : 5),
      secondsPerCase: quick ? 20 : 120,
      cases: quick ? blockCases.slice(0, 1) : blockCases,
      log,
    });
  },
  async training({ devices, quick, rounds, only, log }) {
    const { runTraining } = await import('./lib/training.mjs');
    return runTraining({
      devices,
      rounds: rounds ?? (quick ? 1 : 3),
      steps: quick ? 3 : 10,
      secondsPerDevice: quick ? 30 : 120,
      parts: only,
      log,
    });
  },
  async quantized({ devices, quick, rounds, log }) {
    const { runQuantized } = await import('./lib/quantized.mjs');
    return runQuantized({ devices, rounds: rounds ?? (quick ? 1 : 3), secondsPerDevice: quick ? 20 : 120, log });
  },
  async serving({ devices, quick, rounds, log }) {
    const { runServing } = await import('./lib/serving.mjs');
    return runServing({ devices, rounds: rounds ?? (quick ? 1 : 3), secondsPerDevice: quick ? 20 : 120, log });
  },
};

/** `training` measures three of the parts that a user can name. */
const namesOf = (part) => (part === 'training' ? ['training', 'pytorch', 'overhead'] : [part]);

/** @returns {Promise<Report>} */
async function measure(options, log) {
  const { only } = options;
  const report = await emptyReport(only);
  const fail = (what, error) => {
    report.failed.push({ what, message: error instanceof Error ? error.message : String(error) });
    if (error instanceof Error && error.stack) log(error.stack);
  };
  const devices = await chooseDevices(options, report);
  for (const [part, run] of Object.entries(measurements)) {
    if (!namesOf(part).some((name) => only.has(name))) continue;
    try {
      const { notRun = [], failed = [], ...results } = await run({ ...options, devices, log });
      report[part] = results;
      report.notRun.push(...notRun);
      for (const { what, error } of failed) fail(what, error);
    } catch (error) {
      fail(part, error);
    }
  }
  return report;
}

/** `<date>-<device>.json`: the GPU's name where there is a real one, else the processor's. @param {Report} report */
function defaultFile({ date, devices, machine }) {
  const gpu = devices.find(({ id, description }) => id.startsWith('webgpu') && !description.endsWith('(software)'));
  const name = (gpu?.description ?? machine.cpu)
    .toLowerCase()
    .replace(/\((r|tm)\)/g, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  return fileURLToPath(new URL(`results/${date.slice(0, 10)}-${name}.json`, import.meta.url));
}

async function main() {
  const options = readOptions();
  if (await startedWithDriver()) return;
  const log = (text) => console.error(`bench: ${text}`);
  if (options.build) {
    log('building what is measured …');
    const { code, output } = await runPnpm(
      ['exec', 'turbo', 'run', 'build', '--filter=@lowrank/bench^...', '--output-logs=errors-only'],
      { quiet: true },
    );
    if (code !== 0) throw new Error(`the build failed with exit code ${code}\n${output}`);
  }
  const report = await measure(options, log);
  const { render } = await import('./lib/report.mjs');
  console.log(render(report));
  // A quick run is a look, not a result.
  const file = options.json ?? (options.quick ? undefined : defaultFile(report));
  if (file !== undefined) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
    console.log(`\nwritten to ${relative(root, file).startsWith('..') ? file : relative(root, file)}`);
  }
  process.exitCode = report.failed.length === 0 ? 0 : 1;
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
