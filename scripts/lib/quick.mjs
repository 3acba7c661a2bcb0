import { join } from 'node:path';
import { root } from './paths.mjs';
import { run, seconds } from './process.mjs';

/** @typedef {import('./totals.mjs').Report} Report */

/** What `npm test -- --quick` does not see. */
const leftOut = [
  'WebGPU, Chromium and Redis (*.webgpu, *.redis, tests/browser, tests/reportPage), and what ../shared holds ' +
    '(*.shared)',
  'what is built, and the tests of it (builtExample, browserPage, interruptions, peakMemory, runtimes in tests/, ' +
    'scripts/sizes)',
  'unused code, imports, packages: `pnpm check:unused`, `pnpm check:imports`, `pnpm check:packages`',
];

const node = process.execPath;

/** The checks that come before the tests, side by side: each counts as one test of its own project. */
const checks = {
  types: () => [node, [join(root, 'scripts/checkTypes.mjs')]],
  lint: () => [node, [join(root, 'node_modules/oxlint/bin/oxlint'), '--deny-warnings']],
  format: () => [node, [join(root, 'node_modules/oxfmt/bin/oxfmt'), '--check', '.']],
  lines: () => [node, [join(root, 'scripts/checkLines.mjs')]],
};

/** @param {string} name @returns {Promise<Report>} */
async function runCheck(name) {
  const begun = Date.now();
  const [program, args] = checks[name]();
  const { code, output } = await run(program, args, { quiet: true });
  if (code !== 0) console.log(`${name}:\n${output}`);
  console.log(`${name}: exit code ${code} after ${seconds(begun)}`);
  const totals = { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
  return { projects: { [name]: totals }, files: [], errors: 0 };
}

/**
 * Types, lint, format and the unit tests, against sources: nothing is built.
 *
 * @param {(name: string, projects: string[]) => Promise<Report | undefined>} runVitest
 * @returns {Promise<{ reports: (Report | undefined)[], required: string[], missing: string[] }>}
 */
export async function runQuick(runVitest) {
  process.env.LOWRANK_QUICK = '1';
  const reports = await Promise.all(Object.keys(checks).map(runCheck));
  reports.push(await runVitest('quick', ['unit', 'tooling']));
  return { reports, required: [...Object.keys(checks), 'unit'], missing: leftOut.map((line) => `left out: ${line}`) };
}
