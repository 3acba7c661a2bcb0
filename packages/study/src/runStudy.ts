import { createReadStream } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LowrankError } from '@lowrank/errors';
import type { OutputClaim } from '@lowrank/files';
import { beginSaving, claimOutput, saveTogether } from '@lowrank/files';
import { shownPlace } from '@lowrank/models';
import type { PlannedStudyRun } from './runs/identify.js';
import { identify } from './runs/identify.js';
import { doRuns } from './runs/outcomes.js';
import type { StudyData, StudyOptions } from './studyOptions.js';
import type { StudyOutcome, StudyRun } from './runs/studyRun.js';
import type { StudyRow, StudyTable } from './tables/table.js';
import { bestRow } from './tables/table.js';
import { writeStudy } from './tables/writeStudy.js';

/** What a study is about, and where it is written. */
export interface StudyPlace {
  readonly data: StudyData;
  readonly claim: OutputClaim;
}

/** Names runs, does those that are missing, and reports on them. */
export class StudyRunner {
  constructor(private readonly options: StudyOptions) {}

  /** Does the runs of each row of a table. */
  async do(
    planned: readonly (readonly PlannedStudyRun[])[],
  ): Promise<{ runs: StudyRun[][]; outcomes: Map<string, StudyOutcome> }> {
    const { executor, signal, onEvent, output } = this.options;
    const runs = await identify(planned.flat(), output);
    const outcomes = await doRuns(runs, {
      executor,
      signal,
      onStarted: (run) => void onEvent?.({ type: 'started', run }),
      onProgress: (run, progress) => void onEvent?.({ type: 'progress', run, progress }),
      onOutcome: (run, outcome, reused) => onEvent?.({ type: 'outcome', run, outcome, reused }),
    });
    let next = 0;
    return { runs: planned.map(({ length }) => runs.slice(next, (next += length))), outcomes };
  }

  get stopped(): boolean {
    return this.options.signal?.aborted === true;
  }
}

/** What every table says about its runs. */
export function aboutRuns(
  { training, testData, seeds = 1 }: StudyOptions,
  { modelParameters, metrics }: StudyData,
): Pick<
  StudyTable,
  'model' | 'model_parameters' | 'data' | 'test_data' | 'metrics' | 'steps' | 'batch_size' | 'seeds'
> {
  return {
    model: shownPlace(training.model),
    model_parameters: modelParameters,
    data: training.data,
    test_data: testData ?? null,
    metrics,
    steps: training.steps ?? null,
    batch_size: (training.batchSize ?? 8) * (training.gradientAccumulation ?? 1),
    seeds,
  };
}

/** The table of rows, written down with its charts; the best row's files are copied to `<output>/best`. */
export async function finishStudy(
  study: StudyTable['study'],
  rows: readonly StudyRow[],
  { options, data, claim, interrupted }: StudyPlace & { readonly options: StudyOptions; readonly interrupted: boolean },
): Promise<StudyTable> {
  const { output } = options;
  const best = bestRow(rows, data.metrics);
  const table: StudyTable = {
    study,
    ...aboutRuns(options, data),
    rows,
    best: best?.label ?? null,
    best_folder: best === undefined || interrupted ? null : await copyBest(best, output),
    interrupted,
  };
  // A part of a table would stand where a whole one may be.
  if (!interrupted) await writeStudy(table, claim);
  return table;
}

/** Of several seeds the first one's: which of them scored best is chance. */
async function copyBest({ folders }: StudyRow, output: string): Promise<string | null> {
  const [folder] = folders;
  const from = join(output, folder ?? '');
  const to = join(output, 'best');
  const entries = folder === undefined ? [] : await readdir(from, { withFileTypes: true }).catch(() => []);
  const names = entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.') && entry.name !== 'outcome.json')
    .map(({ name }) => name);
  const first = ['adapter_config.json', 'config.json'].find((name) => names.includes(name));
  // What an earlier table called best is no longer.
  if (first === undefined) {
    await rm(to, { recursive: true, force: true });
    return null;
  }
  await saveTogether(beginSaving(to, { first, replaces: () => true }), async (saving) => {
    for (const name of names) await saving.write(name, createReadStream(join(from, name)));
  });
  return to;
}

/**
 * Takes the output for a study while it is done, before its first run: it can be written, and no other study is being
 * done there. One that was done there is gone on with.
 */
export async function inStudyFolder<Table>(
  { output, training }: StudyOptions,
  study: (claim: OutputClaim) => Promise<Table>,
): Promise<Table> {
  const claim = await claimOutput(output, { inputs: [training.model], resume: 'study' });
  try {
    return await study(claim);
  } finally {
    await claim.discard();
  }
}

export function allFailed({ rows }: StudyTable, output: string): LowrankError {
  return new LowrankError({
    code: 'study.failed',
    what: `the ${rows.length} rows of the table`,
    expected: 'at least one completed run',
    got: rows.find(({ error }) => error !== null)?.error?.message.replace(/\.$/, '') ?? 'none',
    remedy: `${output}/table.md has the error of each.`,
  });
}
