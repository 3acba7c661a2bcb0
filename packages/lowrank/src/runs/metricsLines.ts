import type { MetricsLine } from '@lowrank/study';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { metricsName } from '../metricsFile.js';

/** The lines of a run's metrics.jsonl, one at a time, none without it; one that a process died at is none. */
export async function* metricsLines(folder: string): AsyncGenerator<MetricsLine> {
  const file = await open(join(folder, metricsName)).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return;
  for await (const line of file.readLines()) {
    const value = parsed(line);
    if (typeof value === 'object' && value !== null) yield value as MetricsLine;
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
