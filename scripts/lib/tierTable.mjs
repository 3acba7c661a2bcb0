/**
 * What ran of one kind of tests in one tier on one driver.
 *
 * @typedef {{ driver: string, tier: string, kind: Kind, passed: number, failed: number }} Row
 * @typedef {'kernels' | 'LoRA' | 'QLoRA'} Kind tests of kernels, or a run of PyTorch
 */

/** Of the tests that name no tier, and choose one themselves. */
const noTier = 'any';

/**
 * Counts the tests of a run by tier. A file that failed outside of its tests counts as one failed test, and so do a run
 * that ended badly without saying where, and a tier in which nothing ran.
 *
 * @param {object} run
 * @param {string} run.driver
 * @param {readonly string[]} run.tiers that were asked for
 * @param {{ testResults: { name: string, status: string, assertionResults: { fullName: string, status: string }[] }[] }
 *   | undefined} run.report vitest's, undefined where it wrote none
 * @param {number} run.code its exit code
 * @param {boolean} [run.narrowed] to tests of some names: the others are skipped, and not counted
 * @returns {Row[]}
 */
export function rowsOf({ driver, tiers, report, code, narrowed = false }) {
  /** @type {Map<string, Row>} */
  const rows = new Map();
  const rowAt = (tier, kind) => {
    const key = `${tier} ${kind}`;
    const row = rows.get(key) ?? { driver, tier, kind, passed: 0, failed: 0 };
    rows.set(key, row);
    return row;
  };
  for (const { name, status, assertionResults } of report?.testResults ?? []) {
    for (const { fullName, status: ending } of assertionResults) {
      if (narrowed && ending === 'skipped') continue;
      const tier = tiers.find((each) => fullName.includes(`${each} kernels`)) ?? noTier;
      rowAt(tier, kindOf(name, fullName))[ending === 'passed' ? 'passed' : 'failed']++;
    }
    if (status === 'failed' && assertionResults.every((test) => test.status !== 'failed'))
      rowAt(noTier, kindOf(name, '')).failed++;
  }
  for (const tier of tiers)
    if (![...rows.values()].some((row) => row.tier === tier && row.passed + row.failed > 0))
      rowAt(tier, 'kernels').failed++;
  const all = [...rows.values()];
  if (code !== 0 && all.every(({ failed }) => failed === 0)) rowAt(noTier, 'kernels').failed++;
  return [...rows.values()];
}

/** @param {string} file @param {string} test @returns {Kind} */
function kindOf(file, test) {
  if (!file.includes('golden')) return 'kernels';
  return test.includes('NF4') ? 'QLoRA' : 'LoRA';
}

/** The rows as a table of Markdown: a line for each driver and tier. @param {readonly Row[]} rows */
export function tableOf(rows) {
  const lines = new Map(rows.map(({ driver, tier }) => [`${driver}\n${tier}`, [driver, tier]]));
  const cell = (driver, tier, kind) => {
    const row = rows.find((each) => each.driver === driver && each.tier === tier && each.kind === kind);
    if (row === undefined) return '–';
    return row.failed === 0 ? `${row.passed} passed` : `${row.passed} passed, ${row.failed} FAILED`;
  };
  return [
    '| driver | tier | tests of kernels | LoRA against PyTorch | QLoRA against PyTorch |',
    '| --- | --- | --- | --- | --- |',
    ...[...lines.values()].map(
      ([driver, tier]) =>
        `| ${driver} | ${tier} | ${cell(driver, tier, 'kernels')} | ${cell(driver, tier, 'LoRA')} | ` +
        `${cell(driver, tier, 'QLoRA')} |`,
    ),
  ].join('\n');
}
