import type { Score, TrainState } from './trainState.js';

type Saved = Pick<TrainState, 'best' | 'evaluationsSinceBest' | 'evaluatedAt'>;

/** The evaluations of a training so far: the best one, and whether there is any hope left. */
export class Scores {
  best: Score | undefined;
  evaluationsSinceBest: number;
  evaluatedAt: number;

  constructor(
    /** Evaluations without a new lowest loss that are borne; undefined: any number. */
    private readonly patience: number | undefined,
    { best, evaluationsSinceBest, evaluatedAt }: Saved = { best: undefined, evaluationsSinceBest: 0, evaluatedAt: 0 },
  ) {
    this.best = best;
    this.evaluationsSinceBest = evaluationsSinceBest;
    this.evaluatedAt = evaluatedAt;
  }

  /** Whether training is to end: as transformers' EarlyStoppingCallback, with a threshold of 0. */
  get exhausted(): boolean {
    return this.patience !== undefined && this.evaluationsSinceBest >= this.patience;
  }

  /** Takes an evaluation into account; returns whether its loss is lower than all before. NaN never is. */
  add({ step, loss }: Score): boolean {
    const isBest = loss < (this.best?.loss ?? Infinity);
    this.evaluatedAt = step;
    this.evaluationsSinceBest = isBest ? 0 : this.evaluationsSinceBest + 1;
    if (isBest) this.best = { step, loss };
    return isBest;
  }

  get saved(): Saved {
    const { best, evaluationsSinceBest, evaluatedAt } = this;
    return { best, evaluationsSinceBest, evaluatedAt };
  }
}
