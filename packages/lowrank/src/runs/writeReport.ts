import { joinPath, nameOf, ownDisk, writeFileAtomic } from '@lowrank/files';
import { reportOf, RunCurves } from '@lowrank/study';
import type { ListedRun } from './listRuns.js';
import { metricsLines } from './metricsLines.js';
import { reportName } from './reportFile.js';
import { readRecord } from './runRecord.js';

/**
 * Writes the report of a run anew: of one whose process ended without a word, it then says so. A run that goes on
 * writes its own.
 *
 * @returns where it lies
 */
export async function writeReport({ folder, status }: Pick<ListedRun, 'folder' | 'status'>): Promise<string> {
  const [path, record] = [joinPath(folder, reportName), await readRecord(folder)];
  if (record === undefined || status === 'running') return path;
  const curves = new RunCurves();
  for await (const line of metricsLines(folder)) curves.add(line);
  const { step, eval_loss: loss } = record;
  if (loss !== null && curves.curve('eval_loss').last?.step !== step) curves.add({ step, eval_loss: loss });
  await writeFileAtomic(
    path,
    reportOf({ ...record, name: nameOf(await ownDisk.realPath(folder)), status }, curves, record.samples ?? []),
  );
  return path;
}
