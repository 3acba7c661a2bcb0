// `npm test`: everything a fresh clone needs, then every test. `npm test -- --quick`: types, lint and the unit tests.
// Other arguments go to vitest, which then decides what runs.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cache, root, shared } from './lib/paths.mjs';
import { run, seconds } from './lib/process.mjs';
import { runQuick } from './lib/quick.mjs';
import { howToTryPackages, wantsPackages } from './lib/packedPackages.mjs';
import { howToGetRedis, wantsRedis } from './lib/redisServer.mjs';
import { slowestFiles, sumReports } from './lib/totals.mjs';
import { build, install } from './lib/workspace.mjs';

/** @typedef {import('./lib/totals.mjs').Report} Report */

const started = Date.now();
const quick = process.argv.includes('--quick');
const filters = process.argv.slice(2).filter((argument) => argument !== '--quick');

/**
 * The browser runs in a process of its own: when it cannot start, vitest gives up on everything in the same run.
 */
const runners = {
  node: ['unit', 'tooling', 'webgpu', ...(shared ? ['shared'] : []), ...(wantsRedis() ? ['redis'] : [])],
  chromium: ['chromium'],
  ...(wantsPackages() ? { packages: ['packages'] } : {}),
};

/** @param {string} name @param {string[]} projects @returns {Promise<Report | undefined>} */
async function runVitest(name, projects) {
  const begun = Date.now();
  const file = join(cache, `totals-${name}.json`);
  rmSync(file, { force: true });
  const { code } = await run(
    process.execPath,
    [
      join(root, 'node_modules/vitest/vitest.mjs'),
      'run',
      '--passWithNoTests',
      '--reporter=default',
      '--reporter=./scripts/lib/totalsReporter.mjs',
      ...projects.flatMap((project) => ['--project', project]),
      ...filters,
    ],
    { env: { LOWRANK_TOTALS: file } },
  );
  if (!existsSync(file)) return undefined;
  /** @type {Report} */
  const report = JSON.parse(readFileSync(file, 'utf8'));
  const failed = Object.values(report.projects).some((totals) => totals.failed > 0);
  if (code !== 0 && !failed && report.errors === 0) report.errors = 1;
  console.log(`${name}: exit code ${code} after ${seconds(begun)}`);
  return report;
}

/** What this machine cannot run. */
function missingHere() {
  const missing = [];
  if (!shared)
    missing.push(
      'no ../shared beside the checkout: the tests against its models and golden values are not part of this run',
    );
  if (!wantsRedis())
    missing.push(
      'NO REDIS: the tests of the queue over several machines (*.redis.test.ts) are not part of this run; ' +
        `${howToGetRedis}`,
    );
  if (!wantsPackages())
    missing.push(`the packed packages in bundlers and runtimes are not part of this run: ${howToTryPackages}`);
  return missing;
}

/** Every project. */
async function runAll() {
  await build();
  const missing = missingHere();
  for (const line of missing) console.log(line);
  const reports = [];
  for (const [name, projects] of Object.entries(runners)) reports.push(await runVitest(name, projects));
  return { reports, required: Object.values(runners).flat(), missing };
}

/** @param {(Report | undefined)[]} reports @param {string[]} required @param {string[]} missing */
function printTotals(reports, required, missing) {
  const { passed, failed, skipped, reasons } = sumReports(reports, filters.length > 0 ? [] : required);
  console.log('\nthe slowest files:');
  for (const line of slowestFiles(reports)) console.log(line);
  console.log('');
  for (const report of reports) {
    for (const [project, totals] of Object.entries(report?.projects ?? {})) {
      console.log(
        `${project.padEnd(9)} ${totals.passed} passed, ${totals.failed} ` +
          `failed${totals.skipped > 0 ? `, ${totals.skipped} skipped` : ''}`,
      );
    }
  }
  for (const reason of reasons) console.log(`counted as failed: ${reason}`);
  for (const line of missing) console.log(line);
  if (skipped > 0) console.log(`${skipped} skipped`);
  console.log(`took ${seconds(started)}`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

try {
  await install();
  const { reports, required, missing } = quick ? await runQuick(runVitest) : await runAll();
  printTotals(reports, required, missing);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  console.log('0 passed, 1 failed');
  process.exitCode = 1;
}
