import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** A vitest reporter that writes a {@link import('./totals.mjs').Report} to the file named by LOWRANK_TOTALS. */
export default class TotalsReporter {
  onTestRunEnd(modules, unhandledErrors) {
    /** @type {import('./totals.mjs').Report} */
    const report = { projects: {}, files: [], errors: unhandledErrors.length };
    for (const module of modules) {
      // The browser's project is called "chromium (chromium)": project and instance.
      const name = module.project.name.split(' ')[0];
      const { collectDuration, setupDuration, duration } = module.diagnostic();
      report.files.push({
        project: name,
        file: module.relativeModuleId,
        ms: collectDuration + setupDuration + duration,
      });
      const totals = (report.projects[name] ??= { passed: 0, failed: 0, skipped: 0 });
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        totals[state === 'passed' || state === 'failed' ? state : 'skipped'] += 1;
      }
      // A file that fails outside its tests (an import, a hook) has an error of its own.
      totals.failed +=
        module.errors().length +
        [...module.children.allSuites()].reduce((sum, suite) => sum + suite.errors().length, 0);
    }
    const file = process.env.LOWRANK_TOTALS;
    if (!file) throw new Error('LOWRANK_TOTALS is not set: the totals reporter has nowhere to write');
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, JSON.stringify(report));
  }
}
