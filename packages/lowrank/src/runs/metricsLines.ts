import type { Disk } from '@lowrank/files';
import { joinPath, ownDisk } from '@lowrank/files';
import type { MetricsLine } from '@lowrank/study';
import { metricsName } from '../metricsFile.js';

/** The lines of a run's metrics.jsonl, one at a time, none without it; one that a process died at is none. */
export async function* metricsLines(folder: string, disk: Disk = ownDisk): AsyncGenerator<MetricsLine> {
  for await (const line of linesOf(joinPath(folder, metricsName), disk)) {
    const value = parsed(line);
    if (typeof value === 'object' && value !== null) yield value as MetricsLine;
  }
}

const piece = 2 ** 18;

async function* linesOf(path: string, disk: Disk): AsyncGenerator<string> {
  if ((await disk.stat(path))?.kind !== 'file') return;
  const decoder = new TextDecoder();
  let begun = '';
  for (let at = 0; ; at += piece) {
    const bytes = await disk.read(path, at, at + piece);
    const lines = (begun + decoder.decode(bytes, { stream: true })).split('\n');
    begun = lines.pop() ?? '';
    yield* lines;
    if (bytes.length < piece) break;
  }
  yield begun;
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
