/** The place between two steps of a training: where it pauses, and where others use the model. */
export class StepBorder {
  private readonly tasks: (() => Promise<void>)[] = [];
  private wake: () => void = () => undefined;
  private paused = false;
  private closed = false;
  private reached: ((step: number | undefined) => void)[] = [];
  private standsAt: number | undefined;

  /** Does something at the next border; at once while training waits at one. */
  do<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.tasks.push(() => work().then(resolve, reject));
      this.wake();
    });
  }

  /** Pauses at the next border, and resolves with the step before it; with undefined where training ends first. */
  pause(): Promise<number | undefined> {
    if (this.closed) return Promise.resolve(undefined);
    this.paused = true;
    if (this.standsAt !== undefined) return Promise.resolve(this.standsAt);
    return new Promise((resolve) => this.reached.push(resolve));
  }

  resume(): void {
    this.paused = false;
    this.wake();
  }

  /** Whether somebody waits for a border. */
  get isWanted(): boolean {
    return this.paused || this.tasks.length > 0;
  }

  /** Training stands after this step: does what waits, and stays while it is paused. */
  async stand(step: number): Promise<void> {
    for (const resolve of this.reached) resolve(step);
    this.reached = [];
    this.standsAt = step;
    for (;;) {
      const task = this.tasks.shift();
      if (task !== undefined) await task();
      else if (this.paused) await new Promise<void>((resolve) => (this.wake = resolve));
      else break;
    }
    this.standsAt = undefined;
  }

  /**
   * Awaits something of the other thread, and does what comes for the model meanwhile: the answer may depend on it, as
   * that of a callback that generates does.
   */
  async during(until: Promise<unknown>): Promise<void> {
    let done = false;
    const finish = (): void => {
      done = true;
      this.wake();
    };
    until.then(finish, finish);
    while (!done) {
      const task = this.tasks.shift();
      if (task !== undefined) await task();
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
    await until;
  }

  /** The training is over: nobody pauses it, and what waits is done. */
  async close(): Promise<void> {
    this.closed = true;
    this.paused = false;
    for (const resolve of this.reached) resolve(undefined);
    this.reached = [];
    for (let task = this.tasks.shift(); task !== undefined; task = this.tasks.shift()) await task();
  }
}
