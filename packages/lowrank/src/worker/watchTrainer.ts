import type { LeaderMessage, RunNumbers, TrainingEvent, WatcherMessage } from './tabs.js';
import { nameInTabs, requireTabs } from './tabs.js';
import { errorOf } from './wiredError.js';

/** `free`: no tab has the trainer, and `startTrainer({ share })` may take it; `idle`: one has, and trains nothing. */
export type WatchedState = 'free' | 'idle' | 'training';

/** Options of `watchTrainer`: what a tab that watches is told. */
export interface WatchOptions {
  /** Events of the training, those from before the watching began included. */
  readonly onEvent?: ((event: TrainingEvent) => void) | undefined;
  /** Told of each change, the first included. */
  readonly onState?: ((state: WatchedState) => void) | undefined;
  /** Told how a training ended: with its numbers, or with the error that ended it. */
  readonly onEnd?: ((end: { readonly run?: RunNumbers; readonly error?: Error }) => void) | undefined;
}

/** A look at a trainer of another tab. */
export interface TrainerWatch {
  /** Undefined before it is known. */
  readonly state: WatchedState | undefined;
  /** Asks the tab that trains, as {@link RemoteFineTuning.stop} and the others do there. */
  stop(): void;
  pause(): void;
  resume(): void;
  /** Ends the watching. */
  close(): void;
}

/**
 * Watches the trainer that another tab has started with `startTrainer({ share: name })`. When that tab is closed or
 * breaks down, the browser says so, and the state is `free`: then this tab, or any other, may start it.
 *
 *     const watch = watchTrainer('my-run', { onEvent: draw, onState: (state) => offerToTakeOver(state === 'free') });
 *
 * @throws LowrankError `worker.tabs` where there are no Web Locks: outside https and localhost
 */
export function watchTrainer(name: string, options: WatchOptions = {}): TrainerWatch {
  const locks = requireTabs();
  const watcher = new Watcher(nameInTabs(name), options);
  void watcher.follow(locks);
  return watcher;
}

class Watcher implements TrainerWatch {
  state: WatchedState | undefined;
  private readonly id = crypto.randomUUID();
  private readonly channel: BroadcastChannel;
  private readonly ending = new AbortController();
  private led: () => void = () => undefined;

  constructor(
    private readonly name: string,
    private readonly options: WatchOptions,
  ) {
    this.channel = new BroadcastChannel(name);
    this.channel.addEventListener('message', ({ data }) => this.receive(data as LeaderMessage | WatcherMessage));
    this.post({ type: 'who', from: this.id });
  }

  stop(): void {
    this.post({ type: 'ask', what: 'stop' });
  }

  pause(): void {
    this.post({ type: 'ask', what: 'pause' });
  }

  resume(): void {
    this.post({ type: 'ask', what: 'resume' });
  }

  close(): void {
    this.ending.abort();
    this.channel.close();
  }

  /** The lock is had together with other watchers, and only while no tab leads. */
  async follow(locks: LockManager): Promise<void> {
    const { signal } = this.ending;
    while (!signal.aborted) {
      const leads = new Promise<void>((resolve) => (this.led = resolve));
      try {
        await locks.request(this.name, { mode: 'shared', signal }, () => this.set('free'));
      } catch {
        return;
      }
      await leads;
    }
  }

  private receive(message: LeaderMessage | WatcherMessage): void {
    if (this.ending.signal.aborted) return;
    if (message.type === 'state') this.meet(message);
    // Before it knows what came before, an event would come twice.
    else if (this.state === undefined || this.state === 'free') return;
    else if (message.type === 'events') this.hear(message.events);
    else if (message.type === 'began') this.set('training');
    else if (message.type === 'ended') {
      this.set('idle');
      const { run, error } = message.end;
      this.options.onEnd?.(error === undefined ? { run } : { error: errorOf(error) });
    }
  }

  private meet({ to, isTraining, events }: Extract<LeaderMessage, { type: 'state' }>): void {
    if (to !== undefined && to !== this.id) return;
    this.led();
    this.set(isTraining ? 'training' : 'idle');
    this.hear(events);
  }

  private hear(events: readonly TrainingEvent[]): void {
    for (const event of events) this.options.onEvent?.(event);
  }

  private set(state: WatchedState): void {
    if (state === this.state) return;
    this.state = state;
    this.options.onState?.(state);
  }

  private post(message: WatcherMessage): void {
    this.channel.postMessage(message);
  }
}
