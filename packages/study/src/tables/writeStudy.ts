import { join } from 'node:path';
import { writeFileAtomic } from '@lowrank/safetensors';
import { studyChart } from '../charts/studyChart.js';
import { markdownTable } from './describeTable.js';
import { reportHtml } from './report.js';
import type { StudyTable } from './table.js';

/** The table of a comparison or a sweep, as files. */
export async function writeStudy(table: StudyTable, output: string): Promise<void> {
  const chart = studyChart(table);
  await writeStudyFiles(output, { table, markdown: markdownTable(table), chart, html: reportHtml(table, chart) });
}

/** table.json, table.md, chart.svg and report.html, each whole or not at all. */
export async function writeStudyFiles(
  output: string,
  {
    table,
    markdown,
    chart,
    html,
  }: { readonly table: object; readonly markdown: string; readonly chart: string; readonly html: string },
): Promise<void> {
  await writeFileAtomic(join(output, 'table.json'), `${JSON.stringify(table, null, 1)}\n`);
  await writeFileAtomic(join(output, 'table.md'), markdown);
  await writeFileAtomic(join(output, 'chart.svg'), chart);
  await writeFileAtomic(join(output, 'report.html'), html);
}
