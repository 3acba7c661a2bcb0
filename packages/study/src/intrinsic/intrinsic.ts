import { LowrankError } from '@lowrank/errors';
import type { MetricName } from '@lowrank/data';
import { trainCandidates } from '../candidates.js';
import { checkSearchCut } from '../rateSearch.js';
import type { StudyPlace } from '../runStudy.js';
import { aboutRuns, inStudyFolder } from '../runStudy.js';
import type { StudyData } from '../studyOptions.js';
import { checkCount, studyData } from '../studyOptions.js';
import { studyRow } from '../tables/table.js';
import type { StudyRow } from '../tables/table.js';
import { writeStudyFiles } from '../tables/writeStudy.js';
import type { Anchors } from './d90.js';
import { findD90, shareOf } from './d90.js';
import { intrinsicChart } from './intrinsicChart.js';
import type { IntrinsicOptions } from './intrinsicOptions.js';
import { checkDimensions, subjectsOf } from './intrinsicOptions.js';
import { intrinsicHtml, intrinsicMarkdown } from './intrinsicReport.js';
import type { IntrinsicRow, IntrinsicTable } from './intrinsicTable.js';

/**
 * Measures the intrinsic dimension of a task for a model (Li et al. 2018; Aghajanyan et al. 2020): trains every weight,
 * and then within random subspaces of growing dimension, with one budget, and finds d90, the smallest dimension with
 * 90% of full fine-tuning's performance. Learning rates are chosen for each on rows held out of the training data. Runs
 * whose outcomes lie in the folder already are not repeated.
 *
 * @throws LowrankError what studyData and `rules` throw; `study.dimensions`, and `study.failed` where the base or full
 * fine-tuning comes to no end, since nothing can be measured without them
 */
export async function intrinsicDimension(options: IntrinsicOptions): Promise<IntrinsicTable> {
  checkDimensions(options.dimensions);
  checkCount('--seeds', options.seeds);
  const subjects = subjectsOf(options);
  for (const { training } of subjects) options.rules.checkTraining(training);
  const data = await studyData(options);
  await checkSearchCut(subjects, { options, data });
  return inStudyFolder(options, (claim) => measure(subjects, { options, data, claim }));
}

async function measure(
  subjects: ReturnType<typeof subjectsOf>,
  { options, data, claim }: StudyPlace & { readonly options: IntrinsicOptions },
): Promise<IntrinsicTable> {
  const { trained, outcomes, interrupted } = await trainCandidates(subjects, { options, data });
  const rows = trained.map(({ candidate, rate = null, tuning, runs, error }): IntrinsicRow => {
    const { label, method, dimension } = candidate;
    const settings = { method, learning_rate: method === 'base' ? null : rate };
    const row = studyRow({ label, settings, runs, tuning, error }, outcomes);
    return { ...(method === 'base' ? untrained(row) : row), dimension, share: null };
  });
  const table = tableOf(rows, { options, data, interrupted });
  // A part of a table would stand where a whole one may be.
  if (!interrupted) await write(table, claim);
  return table;
}

/** The base model trains nothing, and its time says nothing. */
function untrained(row: StudyRow): StudyRow {
  return {
    ...row,
    steps: null,
    trainable_parameters: row.trainable_parameters === null ? null : 0,
    trainable_share: row.trainable_share === null ? null : 0,
    train_loss: null,
    file_bytes: null,
    measured: null,
  };
}

interface Context {
  readonly options: IntrinsicOptions;
  readonly data: StudyData;
  readonly interrupted: boolean;
}

function tableOf(rows: readonly IntrinsicRow[], { options, data, interrupted }: Context): IntrinsicTable {
  const { projection = 'sparse', entries = 1, structureAware = false } = options;
  const [metric = 'loss'] = data.metrics;
  const anchors = anchorsOf(rows, metric);
  if (anchors === undefined && !interrupted) throw withoutAnchors(rows);
  const shared = rows.map((row): IntrinsicRow => {
    const score = row.scores[metric]?.mean;
    const share = anchors === undefined || score === undefined ? undefined : shareOf(score, anchors);
    return { ...row, share: share ?? null };
  });
  const measured = rows.flatMap(({ dimension, scores }) =>
    dimension === null || scores[metric] === undefined ? [] : [{ dimension, score: scores[metric].mean }],
  );
  const found =
    anchors === undefined ? { d90: null, interpolated: null, above: null, fallen: [] } : findD90(measured, anchors);
  return {
    study: 'intrinsic',
    ...aboutRuns(options, data),
    projection,
    entries: projection === 'sparse' ? entries : null,
    structure_aware: structureAware,
    rows: shared,
    ...found,
    interrupted,
  };
}

/** The scores that the others are measured by. */
function anchorsOf(rows: readonly IntrinsicRow[], metric: MetricName): Anchors | undefined {
  const scoreOf = (label: string): number | undefined => rows.find((row) => row.label === label)?.scores[metric]?.mean;
  const [base, full] = [scoreOf('base'), scoreOf('full')];
  return base === undefined || full === undefined ? undefined : { metric, base, full };
}

function withoutAnchors(rows: readonly IntrinsicRow[]): LowrankError {
  const failed = rows.find(({ label, error }) => (label === 'base' || label === 'full') && error !== null);
  return new LowrankError({
    code: 'study.failed',
    what: failed?.label === 'base' ? 'the base model' : 'full fine-tuning',
    expected: 'a run that completes, as the reference for the others',
    got: failed?.error?.message ?? 'none',
  });
}

async function write(table: IntrinsicTable, claim: StudyPlace['claim']): Promise<void> {
  const chart = intrinsicChart(table);
  await writeStudyFiles(claim, {
    table,
    markdown: intrinsicMarkdown(table),
    chart,
    html: intrinsicHtml(table, chart),
  });
}
