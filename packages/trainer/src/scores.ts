import type { Measures } from './batch.js';
import type { Score, TrainState } from './trainState.js';

type Saved = Pick<TrainState, 'best' | 'evaluationsSinceBest' | 'evaluatedAt'>;

/** The measure that decides which evaluation is the best. */
export interface BestBy {
  readonly measure: string;
  readonly isHigherBetter: boolean;
}

/** What an evaluation is to be compared by. @throws TypeError where it lacks the measure that decides */
export function scoreOf(
  { step, loss, measures = {} }: { readonly step: number; readonly loss: number; readonly measures?: Measures },
  bestBy: BestBy | undefined,
): Score {
  if (bestBy === undefined) return { step, loss };
  const measure = measures[bestBy.measure];
  if (measure === undefined) throw new TypeError(`an evaluation without ${bestBy.measure}`);
  return { step, loss, measure };
}

/** Whether an evaluation is better than another; NaN never is. */
export function isBetter(score: Score, best: Score | undefined, bestBy: BestBy | undefined): boolean {
  if (bestBy === undefined) return score.loss < (best?.loss ?? Infinity);
  const [now = NaN, before] = [score.measure, best?.measure];
  if (before === undefined) return !Number.isNaN(now);
  return bestBy.isHigherBetter ? now > before : now < before;
}

/** The evaluations of a training so far: the best one, and whether there is any hope left. */
export class Scores {
  best: Score | undefined;
  evaluationsSinceBest: number;
  evaluatedAt: number;

  constructor(
    /** Evaluations without a new best one that are borne; undefined: any number. */
    private readonly patience: number | undefined,
    { best, evaluationsSinceBest, evaluatedAt }: Saved = { best: undefined, evaluationsSinceBest: 0, evaluatedAt: 0 },
    private readonly bestBy?: BestBy,
  ) {
    this.best = best;
    this.evaluationsSinceBest = evaluationsSinceBest;
    this.evaluatedAt = evaluatedAt;
  }

  /** Whether training is to end: as transformers' EarlyStoppingCallback, with a threshold of 0. */
  get exhausted(): boolean {
    return this.patience !== undefined && this.evaluationsSinceBest >= this.patience;
  }

  /** Takes an evaluation into account; returns whether it is better than all before. */
  add(evaluation: Parameters<typeof scoreOf>[0]): boolean {
    const score = scoreOf(evaluation, this.bestBy);
    const isBest = isBetter(score, this.best, this.bestBy);
    this.evaluatedAt = score.step;
    this.evaluationsSinceBest = isBest ? 0 : this.evaluationsSinceBest + 1;
    if (isBest) this.best = score;
    return isBest;
  }

  get saved(): Saved {
    const { best, evaluationsSinceBest, evaluatedAt } = this;
    return { best, evaluationsSinceBest, evaluatedAt };
  }
}
