import type { ProjectionName } from '@lowrank/methods';
import { LowrankError } from '@lowrank/errors';
import { checkFlags } from '../fineTuneFlags.js';
import type { Anchors } from './d90.js';
import { findD90, shareOf } from './d90.js';
import type { PlannedStudyRun } from './identify.js';
import { intrinsicChart } from './intrinsicChart.js';
import { intrinsicHtml, intrinsicMarkdown } from './intrinsicReport.js';
import type { IntrinsicRow, IntrinsicTable } from './intrinsicTable.js';
import { aboutRuns, openStudyFolder, StudyRunner } from './runStudy.js';
import type { StudyData } from './studyOptions.js';
import { checkCount, studyData } from './studyOptions.js';
import type { StudyTraining } from './studyRun.js';
import type { PlannedRow, StudyRow } from './table.js';
import { studyRow } from './table.js';
import type { TuningOptions } from './tuning.js';
import { bestRate, checkTuningCut, noRate, tunedRate, tuneRun } from './tuning.js';
import { writeStudyFiles } from './writeStudy.js';

export interface IntrinsicOptions extends TuningOptions {
  /** Numbers of trained parameters to try, in any order. */
  readonly dimensions: readonly number[];
  readonly projection?: ProjectionName | undefined;
  readonly entries?: number | undefined;
  readonly structureAware?: boolean | undefined;
  /** Learning rates to choose from, for each dimension by itself. Default: 3e-4, 1e-3, 3e-3. */
  readonly learningRates?: readonly number[] | undefined;
  /** For full fine-tuning. Default: 3e-4, 1e-3. */
  readonly fullLearningRates?: readonly number[] | undefined;
}

const defaults = { subspace: [3e-4, 1e-3, 3e-3], full: [3e-4, 1e-3] };

/**
 * Measures the intrinsic dimension of a task for a model (Li et al. 2018; Aghajanyan et al. 2020): trains every weight,
 * and then within random subspaces of growing dimension, with one budget, and finds d90, the smallest dimension with
 * 90% of full fine-tuning's performance. Learning rates are chosen for each on rows held out of the training data. What
 * was done before in this folder is not done again.
 *
 * @throws LowrankError what studyData and checkFlags throw; `study.dimensions`, and `study.failed` where the base or
 * full fine-tuning comes to no end, since nothing can be told without them
 */
export async function intrinsicDimension(options: IntrinsicOptions): Promise<IntrinsicTable> {
  const { seeds = 1, training } = options;
  checkDimensions(options);
  checkCount('--seeds', seeds);
  const subjects = subjectsOf(options);
  for (const subject of subjects) checkFlags({ ...training, ...subject.training });
  const data = await studyData(options);
  if (subjects.some(({ rates }) => rates.length > 1)) await checkTuningCut({ options, data });
  await openStudyFolder(options);
  const runner = new StudyRunner(options);
  const tuneRuns = subjects.flatMap((subject) =>
    subject.rates.length < 2
      ? []
      : subject.rates.map((rate) => ({
          subject,
          rate,
          planned: tuneRun(
            { label: subject.label, rate, own: { ...training, ...subject.training } },
            { options, data },
          ),
        })),
  );
  const steps = (run: PlannedStudyRun): number => run.training.steps ?? 1;
  const trained = (subjects.length - 1) * seeds;
  await options.onEvent?.({
    type: 'planned',
    runs: tuneRuns.length + trained + 1,
    steps: tuneRuns.reduce((total, { planned }) => total + steps(planned), 0) + trained * (training.steps ?? 1) + 1,
  });
  const tuned = await runner.do(tuneRuns.map(({ planned }) => planned));
  const chosen = subjects.map((subject) => {
    const tuning = tuneRuns.flatMap((run, at) =>
      run.subject === subject ? tunedRate(run.rate, tuned.outcomes.get(tuned.runs[at]?.id ?? '')) : [],
    );
    return { subject, tuning, rate: subject.rates.length < 2 ? subject.rates[0] : bestRate(tuning) };
  });
  const planned = runner.stopped
    ? []
    : chosen.map(({ subject, rate }) =>
        rate === undefined
          ? []
          : Array.from({ length: subject.method === 'base' ? 1 : seeds }, (_, at) =>
              scoreRun({ subject, rate, at }, { options, data }),
            ),
      );
  const scored = await runner.do(planned.flat());
  let next = 0;
  const rows = chosen.map(({ subject, tuning, rate }, at): IntrinsicRow => {
    const runs = scored.runs.slice(next, (next += planned[at]?.length ?? 0));
    const error = rate === undefined && !runner.stopped ? noRate(tuning) : null;
    const row: PlannedRow = {
      label: subject.label,
      settings: { method: subject.method, learning_rate: subject.method === 'base' ? null : (rate ?? null) },
      runs,
      tuning,
      error,
    };
    return { ...asBase(studyRow(row, scored.outcomes), subject), dimension: subject.dimension, share: null };
  });
  return finish(rows, { options, data, interrupted: runner.stopped });
}

interface Subject {
  readonly label: string;
  readonly method: 'base' | 'full' | 'subspace';
  readonly dimension: number | null;
  readonly training: Partial<StudyTraining>;
  readonly rates: readonly number[];
}

interface Context {
  readonly options: IntrinsicOptions;
  readonly data: StudyData;
}

function checkDimensions({ dimensions }: IntrinsicOptions): void {
  for (const dimension of dimensions) checkCount('--dimensions', dimension);
  if (dimensions.length === 0)
    throw new LowrankError({
      code: 'study.dimensions',
      what: 'the dimensions to try',
      expected: 'at least one',
      got: 'none',
    });
}

/**
 * The base model is a subspace of one dimension that is not moved: trained for one step at a rate of 0, once, since no
 * seed changes it.
 */
function subjectsOf({
  dimensions,
  projection = 'sparse',
  entries,
  structureAware,
  learningRates,
  fullLearningRates,
}: IntrinsicOptions): Subject[] {
  const common = {
    method: 'subspace' as const,
    projection,
    entries,
    structureAware: structureAware === true ? true : undefined,
  };
  const rates = [...new Set(learningRates ?? defaults.subspace)];
  return [
    {
      label: 'base',
      method: 'base',
      dimension: null,
      training: { method: 'subspace', dimension: 1, steps: 1, warmup: 0 },
      rates: [0],
    },
    {
      label: 'full',
      method: 'full',
      dimension: null,
      training: { method: 'full' },
      rates: [...new Set(fullLearningRates ?? defaults.full)],
    },
    ...[...new Set(dimensions)]
      .sort((a, b) => a - b)
      .map((dimension): Subject => ({
        label: `d = ${dimension.toLocaleString('en')}`,
        method: 'subspace',
        dimension,
        training: { ...common, dimension },
        rates,
      })),
  ];
}

function scoreRun(
  { subject, rate, at }: { subject: Subject; rate: number; at: number },
  { options: { training }, data }: Context,
): PlannedStudyRun {
  const seed = (training.seed ?? 0) + at;
  return {
    purpose: 'score',
    label: `${subject.label}${subject.method === 'base' ? '' : `, learning rate ${rate}`}, seed ${seed}`,
    training: { ...training, ...subject.training, learningRate: rate, seed, parts: data.parts },
    scoring: data.scoring,
  };
}

/** Of the base nothing is trained, and no time is told. */
function asBase(row: StudyRow, { method }: Subject): StudyRow {
  return method === 'base'
    ? {
        ...row,
        steps: null,
        trainable_parameters: row.trainable_parameters === null ? null : 0,
        trainable_share: row.trainable_share === null ? null : 0,
        train_loss: null,
        file_bytes: null,
        measured: null,
      }
    : row;
}

async function finish(
  rows: readonly IntrinsicRow[],
  { options, data, interrupted }: Context & { interrupted: boolean },
): Promise<IntrinsicTable> {
  const { output, projection = 'sparse', entries = 1, structureAware = false } = options;
  const [metric = 'loss'] = data.metrics;
  const scoreOf = (label: string): number | undefined => rows.find((row) => row.label === label)?.scores[metric]?.mean;
  const [base, full] = [scoreOf('base'), scoreOf('full')];
  const anchors: Anchors | undefined = base === undefined || full === undefined ? undefined : { metric, base, full };
  if (anchors === undefined && !interrupted) {
    const failed = rows.find(({ label, error }) => (label === 'base' || label === 'full') && error !== null);
    throw new LowrankError({
      code: 'study.failed',
      what: failed?.label === 'base' ? 'the base model' : 'full fine-tuning',
      expected: 'a run that comes to its end, to measure the others by',
      got: failed?.error?.message ?? 'none',
    });
  }
  const shared = rows.map((row): IntrinsicRow => {
    const own = row.scores[metric]?.mean;
    return { ...row, share: anchors === undefined || own === undefined ? null : (shareOf(own, anchors) ?? null) };
  });
  const measured = shared.flatMap(({ dimension, scores }) =>
    dimension === null || scores[metric] === undefined ? [] : [{ dimension, score: scores[metric].mean }],
  );
  const table: IntrinsicTable = {
    study: 'intrinsic',
    ...aboutRuns(options, data),
    projection,
    entries: projection === 'sparse' ? entries : null,
    structure_aware: structureAware,
    rows: shared,
    ...(anchors === undefined
      ? { d90: null, interpolated: null, above: null, fallen: [] }
      : findD90(measured, anchors)),
    interrupted,
  };
  // A part of a table would stand where a whole one may be.
  if (interrupted) return table;
  const chart = await intrinsicChart(table);
  await writeStudyFiles(output, {
    table,
    markdown: intrinsicMarkdown(table),
    chart,
    html: intrinsicHtml(table, chart),
  });
  return table;
}
