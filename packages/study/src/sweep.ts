import type { Candidate } from './candidates.js';
import { trainCandidates } from './candidates.js';
import type { StudyPlace } from './runStudy.js';
import { allFailed, finishStudy, inStudyFolder } from './runStudy.js';
import type { StudyOptions } from './studyOptions.js';
import { checkCount, studyData } from './studyOptions.js';
import type { RowSettings, StudyTable } from './tables/table.js';
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
 * that were not trained on, and writes table and charts; the best one's adapter lies in `<output>/best`. Runs whose
 * outcomes lie in the folder already are not repeated.
 *
 * @throws LowrankError what studyData and `rules` throw; `study.failed` where no run came to an end
 */
export async function sweepRanks(options: SweepOptions): Promise<StudyTable> {
  const { training, seeds = 1 } = options;
  checkCount('--seeds', seeds);
  options.rules.checkTraining({ ...training, method: 'lora' });
  const data = await studyData(options);
  return inStudyFolder(options, (claim) => sweep(options, { data, claim }));
}

async function sweep(options: SweepOptions, { data, claim }: StudyPlace): Promise<StudyTable> {
  const { trained, outcomes, interrupted } = await trainCandidates(pointsOf(options), { options, data });
  const rows = trained.map(({ candidate: { label, settings }, runs, tuning }) =>
    studyRow({ label, settings, runs, tuning }, outcomes),
  );
  const table = await finishStudy('sweep', rows, { options, data, claim, interrupted });
  if (!interrupted && table.rows.every(({ runs }) => runs === 0)) throw allFailed(table, options.output);
  return table;
}

/** A combination, with a learning rate of its own. */
interface Point extends Candidate {
  readonly settings: RowSettings;
}

/** The cross product; a label names what varies. */
function pointsOf(options: SweepOptions): Point[] {
  const { r: ranks, training } = options;
  const rates = distinct(options.learningRates ?? [training.learningRate ?? 2e-4]);
  const targets = distinctSets(options.targetModules ?? [training.targetModules]);
  return distinct(ranks).flatMap((r) =>
    distinct(options.alpha ?? [training.alpha ?? r]).flatMap((alpha) =>
      rates.flatMap((learningRate) =>
        targets.map((targetModules) => {
          const label = [
            `r ${r}`,
            ...(options.alpha === undefined || options.alpha.length < 2 ? [] : [`alpha ${alpha}`]),
            ...(rates.length < 2 ? [] : [`learning rate ${learningRate}`]),
            ...(targetModules === undefined || targets.length < 2 ? [] : [nameOf(targetModules)]),
          ].join(', ');
          return pointOf(options, label, { r, alpha, learningRate, targetModules });
        }),
      ),
    ),
  );
}

interface Combination {
  readonly r: number;
  readonly alpha: number;
  readonly learningRate: number;
  readonly targetModules: readonly string[] | string | undefined;
}

function pointOf(
  { training, seeds = 1 }: SweepOptions,
  label: string,
  { r, alpha, learningRate, targetModules }: Combination,
): Point {
  return {
    label,
    settings: {
      method: training.quantization === undefined ? 'lora' : 'qlora',
      learning_rate: learningRate,
      r,
      alpha,
      ...(targetModules === undefined ? {} : { target_modules: nameOf(targetModules) }),
    },
    training: { ...training, r, alpha, ...(targetModules === undefined ? {} : { targetModules }), method: 'lora' },
    rates: [learningRate],
    seeds,
    runLabel: () => label,
  };
}

function distinct(values: readonly number[]): number[] {
  return [...new Set(values)];
}

function distinctSets<Names extends readonly string[] | string | undefined>(sets: readonly Names[]): Names[] {
  return [...new Map(sets.map((names) => [nameOf(names), names])).values()];
}

/** A set of layers in a label. */
function nameOf(targets: readonly string[] | string | undefined): string {
  return [targets ?? []].flat().join('+');
}
