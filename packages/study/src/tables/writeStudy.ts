import type { OutputClaim } from '@lowrank/files';
import { saveTogether } from '@lowrank/files';
import { studyChart } from '../charts/studyChart.js';
import { markdownTable } from './describeTable.js';
import { reportHtml } from './report.js';
import type { StudyTable } from './table.js';

/** The table of a comparison or a sweep, as files. */
export async function writeStudy(table: StudyTable, claim: OutputClaim): Promise<void> {
  const chart = studyChart(table);
  await writeStudyFiles(claim, { table, markdown: markdownTable(table), chart, html: reportHtml(table, chart) });
}

/** table.json, table.md, chart.svg and report.html, all of them or none. */
export async function writeStudyFiles(
  claim: OutputClaim,
  {
    table,
    markdown,
    chart,
    html,
  }: { readonly table: object; readonly markdown: string; readonly chart: string; readonly html: string },
): Promise<void> {
  const replacesNothing = (): boolean => false;
  await saveTogether(claim.beginSaving('table.json', replacesNothing), async (saving) => {
    await saving.write('table.json', `${JSON.stringify(table, null, 1)}\n`);
    await saving.write('table.md', markdown);
    await saving.write('chart.svg', chart);
    await saving.write('report.html', html);
  });
}
