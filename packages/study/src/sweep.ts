import type { PlannedStudyRun } from './runs/identify.js';
import { allFailed, finishStudy, openStudyFolder, StudyRunner } from './runStudy.js';
import type { StudyOptions } from './studyOptions.js';
import { checkCount, studyData } from './studyOptions.js';
import type { PlannedRow, RowSettings, StudyTable } from './tables/table.js';
import { studyRow } from './tables/table.js';

export interface SweepOptions extends StudyOptions {
  readonly r: readonly number[];
  /** Default: each rank's own, so that adapters count once. */
  readonly alpha?: readonly number[] | undefined;
  /** Default: that of `training`. */
  readonly learningRates?: readonly number[] | undefined;
  /** Sets of layers. Default: that of `training`. */
  readonly targetModules?: readonly (readonly string[])[] | undefined;
}

/**
 * Trains LoRA adapters with every combination of ranks, alphas, learning rates and sets of layers, scores each on rows
 * that were not trained on, and writes table and charts; the best one's adapter lies in `<output>/best`. What was done
 * before in this folder is not done again.
 *
 * @throws LowrankError what studyData and `rules` throw; `study.failed` where no run came to an end
 */
export async function sweepRanks(options: SweepOptions): Promise<StudyTable> {
  const { training, seeds = 1 } = options;
  checkCount('--seeds', seeds);
  options.rules.checkTraining({ ...training, method: 'lora' });
  const data = await studyData(options);
  await openStudyFolder(options);
  const points = pointsOf(options);
  const plan = points.map((point) => ({
    ...point,
    planned: Array.from({ length: seeds }, (_, at): PlannedStudyRun => {
      const seed = (training.seed ?? 0) + at;
      return {
        purpose: 'score',
        label: `${point.label}, seed ${seed}`,
        training: { ...training, ...point.options, method: 'lora', seed, parts: data.parts },
        scoring: data.scoring,
      };
    }),
  }));
  await options.onEvent?.({
    type: 'planned',
    runs: points.length * seeds,
    steps: points.length * seeds * (training.steps ?? 1),
  });
  const runner = new StudyRunner(options);
  const { runs, outcomes } = await runner.do(plan.map(({ planned }) => planned));
  const rows = plan.map(({ label, settings }, at): PlannedRow => ({
    label,
    settings,
    runs: runs[at] ?? [],
    tuning: [],
  }));
  const interrupted = runner.stopped;
  const table = await finishStudy(
    'sweep',
    rows.map((row) => studyRow(row, outcomes)),
    { options, data, interrupted },
  );
  if (!interrupted && table.rows.every(({ runs: done }) => done === 0)) throw allFailed(table, options.output);
  return table;
}

interface Point {
  readonly label: string;
  readonly settings: RowSettings;
  readonly options: {
    readonly r: number;
    readonly alpha: number;
    readonly learningRate: number;
    readonly targetModules?: readonly string[];
  };
}

/** The cross product; a label names what varies. */
function pointsOf({ r: ranks, alpha, learningRates, targetModules, training }: SweepOptions): Point[] {
  const rates = distinct(learningRates ?? [training.learningRate ?? 2e-4]);
  const targets = [
    ...new Map((targetModules ?? [training.targetModules]).map((names) => [names?.join('+'), names])).values(),
  ];
  const method = training.quantization === undefined ? 'lora' : 'qlora';
  return distinct(ranks).flatMap((r) =>
    distinct(alpha ?? [training.alpha ?? r]).flatMap((scale) =>
      rates.flatMap((learningRate) =>
        targets.map((names): Point => {
          const label = [
            `r ${r}`,
            ...(alpha === undefined || alpha.length < 2 ? [] : [`alpha ${scale}`]),
            ...(rates.length < 2 ? [] : [`learning rate ${learningRate}`]),
            ...(names === undefined || targets.length < 2 ? [] : [names.join('+')]),
          ].join(', ');
          const settings = {
            method,
            learning_rate: learningRate,
            r,
            alpha: scale,
            ...(names === undefined ? {} : { target_modules: names.join('+') }),
          };
          return {
            label,
            settings,
            options: { r, alpha: scale, learningRate, ...(names === undefined ? {} : { targetModules: names }) },
          };
        }),
      ),
    ),
  );
}

function distinct(values: readonly number[]): number[] {
  return [...new Set(values)];
}
