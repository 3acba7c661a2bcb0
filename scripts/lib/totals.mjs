/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Totals
 * @typedef {{ project: string, file: string, ms: number }} FileTime imports, setup, hooks and tests of one file
 * @typedef {{ projects: Record<string, Totals>, files?: FileTime[], errors: number }} Report what one runner found
 */

/**
 * Projects whose tests need something of the machine (an adapter, a server): a test of theirs that did not run is a
 * test that failed.
 */
export const neverSkipped = ['webgpu', 'chromium', 'shared', 'redis'];

/**
 * Sums the reports of all runners. A runner that died counts as one failure, as does each error outside a test, each
 * skipped test of a project that skips none, and each project of `required` in which no test ran.
 *
 * @param {(Report | undefined)[]} reports undefined for a runner that wrote no report
 * @param {readonly string[]} required
 * @returns {Totals & { reasons: string[] }} reasons: the failures that are no test's own
 */
export function sumReports(reports, required = []) {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  const reasons = [];
  const fail = (count, reason) => {
    if (count === 0) return;
    sum.failed += count;
    reasons.push(reason);
  };
  /** @type {Record<string, number>} */
  const ran = {};
  for (const report of reports) {
    if (!report) {
      fail(1, 'a test runner ended without a report');
      continue;
    }
    fail(report.errors, `${report.errors} error(s) outside of tests`);
    for (const [project, totals] of Object.entries(report.projects)) {
      sum.passed += totals.passed;
      sum.failed += totals.failed;
      sum.skipped += totals.skipped;
      ran[project] = (ran[project] ?? 0) + totals.passed + totals.failed;
      if (neverSkipped.includes(project))
        fail(totals.skipped, `${totals.skipped} test(s) of project ${project} could not run`);
    }
  }
  for (const project of required) if (!ran[project]) fail(1, `no test of project ${project} ran`);
  return { ...sum, reasons };
}

/**
 * The files that took longest, over all runners, slowest first: a line each.
 *
 * @param {(Report | undefined)[]} reports
 * @param {number} count
 * @returns {string[]}
 */
export function slowestFiles(reports, count = 10) {
  return reports
    .flatMap((report) => report?.files ?? [])
    .sort((a, b) => b.ms - a.ms)
    .slice(0, count)
    .map(({ project, file, ms }) => `${(ms / 1000).toFixed(1).padStart(7)} s  ${project.padEnd(9)} ${file}`);
}
