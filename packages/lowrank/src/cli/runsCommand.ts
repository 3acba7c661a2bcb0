import type { Command } from 'commander';
import type { ListedRun } from '../runs/listRuns.js';
import { listRuns } from '../runs/listRuns.js';
import type { Speaker } from './io.js';
import { duration } from './duration.js';
import { snakeCase } from '../settings/snakeCase.js';

export interface RunsFlags {
  json: boolean;
  report: boolean;
}

export function addRunsFlags(command: Command): Command {
  return command
    .description('list the runs in folders and below: how far they are, their losses, and the settings that differ')
    .argument('[folders...]', 'where to look', ['.'])
    .option('--json', 'the list as JSON', false)
    .option('--report', "write each run's report.html anew, as after its process was killed", false)
    .addHelpText('after', '\nExample:\n  $ lowrank runs ./runs');
}

export async function runsCommand(folders: readonly string[], { report }: RunsFlags, speaker: Speaker): Promise<void> {
  const runs = await listRuns(folders);
  if (report) {
    const { writeReport } = await import('../runs/writeReport.js');
    for (const run of runs) speaker.say(await writeReport(run));
  }
  speaker.result({ runs }, table(runs));
}

function table(runs: readonly ListedRun[]): string {
  const differing = Object.keys(runs[0]?.differs ?? {});
  const head = ['run', 'status', 'steps', 'loss', 'eval loss', 'lowest', 'time', ...differing.map(snakeCase)];
  const rows = runs.map((run) => [
    run.folder,
    run.status,
    `${run.step}/${run.steps}`,
    shown(run.loss),
    shown(run.eval_loss),
    run.best === null ? '-' : `${shown(run.best.eval_loss)} (${run.best.step})`,
    duration(run.seconds * 1000),
    ...differing.map((name) => text(run.differs[name])),
  ]);
  const widths = head.map((_, at) => Math.max(...[head, ...rows].map((row) => row[at]?.length ?? 0)));
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function shown(loss: number | null): string {
  return loss === null ? '-' : loss.toFixed(4);
}

function text(value: unknown): string {
  if (value === null || value === undefined) return '-';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
