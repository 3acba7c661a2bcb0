import type { Disk } from '@lowrank/files';
import { joinPath, ownDisk } from '@lowrank/files';
import { LowrankError } from '@lowrank/errors';
import { metricsName } from '../metricsFile.js';
import type { RunRecord, RunStatus } from './runRecord.js';
import { readRecord } from './runRecord.js';

/** A run as `lowrank runs` shows it. */
export interface ListedRun {
  readonly folder: string;
  /** `interrupted`: its process ended without a word; it can go on, as one that failed or was stopped. */
  readonly status: RunStatus | 'interrupted';
  /** Steps taken, as metrics.jsonl has them. */
  readonly step: number;
  readonly steps: number;
  /** Of that step. */
  readonly loss: number | null;
  /** Of the result; while it is not there, of the last evaluation. */
  readonly eval_loss: number | null;
  readonly best: RunRecord['best'];
  readonly seconds: number;
  readonly started: string;
  /** What it does not have in common with all the others: settings, `method`, `model`, `data`. */
  readonly differs: Readonly<Record<string, unknown>>;
}

/** How deep below a folder runs are looked for. */
const deepest = 3;

/**
 * The runs in folders and below, each once, by their folders.
 *
 * @throws LowrankError `run.noRuns` for a folder without any
 */
export async function listRuns(folders: readonly string[], disk: Disk = ownDisk): Promise<readonly ListedRun[]> {
  const found = new Map<string, RunRecord>();
  for (const folder of folders) for (const [path, record] of await runsBelow(folder, disk)) found.set(path, record);
  return compared([...found], disk);
}

async function runsBelow(folder: string, disk: Disk): Promise<[string, RunRecord][]> {
  const found = await recordsBelow(folder, deepest, disk);
  if (found.length > 0) return found;
  throw new LowrankError({
    code: 'run.noRuns',
    what: folder,
    expected: 'a folder with runs (run.json) in it',
    got: (await disk.stat(folder)) === undefined ? 'nothing there' : 'none',
    remedy: '`lowrank train --output FOLDER` makes one.',
  });
}

async function compared(found: readonly (readonly [string, RunRecord])[], disk: Disk): Promise<ListedRun[]> {
  const all = found.map(([, record]) => comparable(record));
  const names = [...new Set(all.flatMap((values) => Object.keys(values)))].sort();
  const differing = names.filter((name) => new Set(all.map((values) => JSON.stringify(values[name]))).size > 1);
  const runs: ListedRun[] = [];
  for (const [at, [path, record]] of found.entries()) {
    const { status, steps, best, seconds, started, eval_loss: evaluation } = record;
    const last = await lastMetrics(path, disk);
    runs.push({
      folder: path,
      status: status === 'running' && !(await disk.isLocked(path)) ? 'interrupted' : status,
      step: last.step ?? record.step,
      steps,
      loss: last.loss ?? record.loss,
      eval_loss: evaluation ?? last.evaluation ?? null,
      best,
      seconds,
      started,
      differs: Object.fromEntries(differing.map((name) => [name, all[at]?.[name] ?? null])),
    });
  }
  return runs;
}

async function recordsBelow(folder: string, depth: number, disk: Disk): Promise<[string, RunRecord][]> {
  const record = await readRecord(folder, disk);
  const own: [string, RunRecord][] = record === undefined ? [] : [[folder, record]];
  if (depth === 0) return own;
  const names = (await disk.list(folder).catch((): string[] => [])).sort();
  for (const name of names.filter((each) => !/^(\.|checkpoint-\d+$|node_modules$)/.test(each))) {
    const path = joinPath(folder, name);
    if ((await disk.stat(path))?.kind === 'folder') own.push(...(await recordsBelow(path, depth - 1, disk)));
  }
  return own;
}

function comparable({ method, settings, places }: RunRecord): Readonly<Record<string, unknown>> {
  return { method, ...places, ...settings };
}

interface LastMetrics {
  readonly step?: number;
  readonly loss?: number;
  readonly evaluation?: number;
}

/** The end of metrics.jsonl, which may be growing. */
async function lastMetrics(folder: string, disk: Disk): Promise<LastMetrics> {
  const path = joinPath(folder, metricsName);
  const found = await disk.stat(path);
  if (found?.kind !== 'file') return {};
  const end = await disk.read(path, Math.max(0, found.bytes - 2 ** 16), found.bytes);
  const lines = new TextDecoder()
    .decode(end)
    .split('\n')
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as { step?: number; loss?: number; eval_loss?: number }];
      } catch {
        return [];
      }
    });
  const last = lines.findLast(({ loss }) => loss !== undefined);
  const evaluation = lines.findLast(({ eval_loss: loss }) => loss !== undefined)?.eval_loss;
  return { ...(last && { step: last.step, loss: last.loss }), ...(evaluation === undefined ? {} : { evaluation }) };
}
