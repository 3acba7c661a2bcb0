import { LowrankError } from '@lowrank/errors';
import type { StepBorder } from './stepBorder.js';

/**
 * Who may use a model when: one call after another, since they share its plans and its memory. While a training runs,
 * what only reads the model is done between two steps, and what would change the network under the training is refused.
 */
export class Turns {
  private last: Promise<unknown> = Promise.resolve();
  private border: StepBorder | undefined;

  /** @param name of the model, for errors */
  constructor(private readonly name: string) {}

  /** Something that leaves the network as it is. */
  read<T>(work: () => Promise<T>): Promise<T> {
    return this.border === undefined ? this.next(work) : this.border.do(work);
  }

  /** @throws LowrankError `worker.training` while a training runs */
  change<T>(what: string, work: () => Promise<T>): Promise<T> {
    return this.border === undefined ? this.next(work) : Promise.reject(this.training(what));
  }

  /** @throws LowrankError `worker.training` while another runs */
  train<T>(border: StepBorder, work: () => Promise<T>): Promise<T> {
    if (this.border !== undefined) return Promise.reject(this.training('fineTune'));
    this.border = border;
    return this.next(async () => {
      try {
        return await work();
      } finally {
        // Further calls queue behind this one, which ends when those that were waiting are done.
        this.border = undefined;
        await border.close();
      }
    });
  }

  private next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.last.then(work);
    this.last = done.catch(() => undefined);
    return done;
  }

  private training(what: string): LowrankError {
    return new LowrankError({
      code: 'worker.training',
      what: `${what}() of the model ${this.name}`,
      expected: 'a model that is not being trained',
      got: 'a training under way',
      remedy: 'Await the training first, or stop() it; generate(), evaluate() and files() work meanwhile.',
    });
  }
}
