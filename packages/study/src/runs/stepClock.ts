import type { Measured } from './studyRun.js';
import type { TrainedStep } from './studyTrainer.js';

/** Steps that are left out: they compile, and touch memory for the first time. */
const warmup = 2;

/** Measures training steps. */
export class StepClock {
  private readonly times: { readonly seconds: number; readonly tokens: number }[] = [];
  private seen = 0;

  add({ tokens, tokensPerSecond }: Pick<TrainedStep, 'tokens' | 'tokensPerSecond'>): void {
    // A speed of 0 means that the clock is too coarse for the step.
    if (++this.seen > warmup && tokensPerSecond > 0) this.times.push({ seconds: tokens / tokensPerSecond, tokens });
  }

  /**
   * The median step, which a shape that is compiled on the way does not move; and tokens of the middle half of the
   * steps by time, over their seconds.
   */
  measured(): Pick<Measured, 'seconds_per_step' | 'tokens_per_second'> {
    const sorted = [...this.times].sort((a, b) => a.seconds - b.seconds);
    const count = sorted.length;
    if (count === 0) return { seconds_per_step: null, tokens_per_second: null };
    const middle =
      ((sorted[Math.floor((count - 1) / 2)]?.seconds ?? 0) + (sorted[Math.ceil((count - 1) / 2)]?.seconds ?? 0)) / 2;
    const cut = Math.floor(count / 4);
    const kept = sorted.slice(cut, count - cut);
    const total = (key: 'seconds' | 'tokens'): number => kept.reduce((sum, time) => sum + time[key], 0);
    return { seconds_per_step: middle, tokens_per_second: total('tokens') / total('seconds') };
  }
}
