import type { RateSearchOptions } from './rateSearch.js';
import { bestRate, noRate, searchRun, triedRates } from './rateSearch.js';
import type { PlannedStudyRun } from './runs/identify.js';
import type { StudyOutcome, StudyRun, StudyTraining } from './runs/studyRun.js';
import { StudyRunner } from './runStudy.js';
import type { StudyData } from './studyOptions.js';
import type { StudyRow, TriedRate } from './tables/table.js';

/** A future row of a table: what to train, and the learning rates to choose from. */
export interface Candidate {
  readonly label: string;
  readonly training: StudyTraining;
  /** One is taken as it is; of several the best is searched. */
  readonly rates: readonly number[];
  readonly seeds: number;
  /** What its runs are called, before the seed. */
  readonly runLabel: (rate: number) => string;
}

export interface TrainedCandidate<Kind extends Candidate = Candidate> {
  readonly candidate: Kind;
  /** Undefined where none was found. */
  readonly rate: number | undefined;
  readonly tuning: readonly TriedRate[];
  readonly runs: readonly StudyRun[];
  readonly error: StudyRow['error'];
}

export interface TrainedCandidates<Kind extends Candidate = Candidate> {
  readonly trained: readonly TrainedCandidate<Kind>[];
  readonly outcomes: ReadonlyMap<string, StudyOutcome>;
  /** How far it came: `search` where it was stopped while learning rates were being chosen. */
  readonly stage: 'search' | 'score';
  readonly interrupted: boolean;
}

interface Context {
  readonly options: RateSearchOptions;
  readonly data: StudyData;
}

/** Chooses a learning rate for each candidate, then trains and scores it with each seed. */
export async function trainCandidates<Kind extends Candidate>(
  candidates: readonly Kind[],
  context: Context,
): Promise<TrainedCandidates<Kind>> {
  const { options } = context;
  const searched = candidates.map((candidate) => ({ candidate, runs: searchRuns(candidate, context) }));
  await options.onEvent?.({
    type: 'planned',
    ...workOf(
      candidates,
      searched.flatMap(({ runs }) => runs),
    ),
  });
  const runner = new StudyRunner(options);
  const tried = await runner.do(searched.map(({ runs }) => runs));
  const chosen = candidates.map((candidate, at) => {
    const tuning = triedRates(candidate.rates, tried.runs[at] ?? [], tried.outcomes);
    return { candidate, tuning, rate: candidate.rates.length < 2 ? candidate.rates[0] : bestRate(tuning) };
  });
  const stoppedEarly = runner.stopped;
  const scored = await runner.do(
    chosen.map(({ candidate, rate }) =>
      rate === undefined || stoppedEarly ? [] : scoreRuns(candidate, rate, context),
    ),
  );
  return {
    trained: chosen.map((choice, at) => ({
      ...choice,
      runs: scored.runs[at] ?? [],
      error: choice.rate === undefined && !stoppedEarly ? noRate(choice.tuning) : null,
    })),
    outcomes: scored.outcomes,
    stage: stoppedEarly ? 'search' : 'score',
    interrupted: runner.stopped,
  };
}

function searchRuns({ label, rates, training }: Candidate, context: Context): PlannedStudyRun[] {
  return rates.length < 2 ? [] : rates.map((rate) => searchRun({ label, rate, training }, context));
}

function scoreRuns(
  { training, seeds, runLabel }: Candidate,
  rate: number,
  { options, data }: Context,
): PlannedStudyRun[] {
  return Array.from({ length: seeds }, (_, at) => {
    const seed = (options.training.seed ?? 0) + at;
    return {
      purpose: 'score',
      label: `${runLabel(rate)}, seed ${seed}`,
      training: { ...training, learningRate: rate, seed, parts: data.parts },
      scoring: data.scoring,
    };
  });
}

/** Runs and training steps there will be; a run through the data counts as one step, since its length is not known. */
function workOf(
  candidates: readonly Candidate[],
  searches: readonly PlannedStudyRun[],
): { readonly runs: number; readonly steps: number } {
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    runs: searches.length + sum(candidates.map(({ seeds }) => seeds)),
    steps:
      sum(searches.map(({ training }) => training.steps ?? 1)) +
      sum(candidates.map(({ seeds, training }) => seeds * (training.steps ?? 1))),
  };
}
