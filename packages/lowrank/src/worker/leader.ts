import { LowrankError } from '@lowrank/errors';
import type { RemoteFineTuneOptions, RemoteFineTuning, RemoteRun, Trainer } from './remote.js';
import { fineTuneRemotely } from './remoteModel.js';
import type { LeaderMessage, RunNumbers, TrainingEnd, TrainingEvent, WatcherMessage } from './tabs.js';
import { nameInTabs, requireTabs } from './tabs.js';
import { wiredError } from './wiredError.js';

/** As long a tab may hold the lock that only looked whether it is free. */
const lockPatience = 1000;
/** Events go to other tabs together, so often at most: one that is slow has no more to hear. */
const publishingInterval = 100;
/** Of a training, for those who come later; of longer ones the last. */
const keptEvents = 5000;

/** The tab that trains, among those that share a trainer: it tells the others what its trainings do. */
export class TrainerLeader {
  private readonly channel: BroadcastChannel;
  private readonly past: TrainingEvent[] = [];
  private unsent: TrainingEvent[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private training: RemoteFineTuning | undefined;

  private constructor(
    name: string,
    private readonly release: () => void,
  ) {
    this.channel = new BroadcastChannel(name);
    this.channel.addEventListener('message', ({ data }) => this.receive(data as WatcherMessage));
    this.tell({ type: 'state', to: undefined, isTraining: false, events: [] });
  }

  /** @throws LowrankError `worker.elsewhere` while another tab is it, `worker.tabs` */
  static async begin(shared: string): Promise<TrainerLeader> {
    const locks = requireTabs();
    const name = nameInTabs(shared);
    const { held = [] } = await locks.query();
    if (held.some((lock) => lock.name === name && lock.mode === 'exclusive')) throw elsewhere(shared);
    let release: () => void = () => undefined;
    await new Promise<void>((resolve, reject) => {
      const hold = (): Promise<void> => {
        resolve();
        return new Promise((free) => (release = free));
      };
      locks.request(name, { signal: AbortSignal.timeout(lockPatience) }, hold).catch(() => reject(elsewhere(shared)));
    });
    return new TrainerLeader(name, () => release());
  }

  fineTune(model: Parameters<Trainer['fineTune']>[0], options: RemoteFineTuneOptions): RemoteFineTuning {
    const training = fineTuneRemotely(model, {
      ...options,
      onEvent: (event) => {
        this.publish(event);
        return options.onEvent?.(event);
      },
    });
    this.training = training;
    this.past.length = 0;
    this.tell({ type: 'began' });
    training.then(
      (run) => this.end({ run: numbersOf(run) }),
      (error: unknown) => this.end({ error: wiredError(error) }),
    );
    return training;
  }

  /** Another tab may be it from now on. */
  close(): void {
    this.flush();
    this.channel.close();
    this.release();
  }

  private end(end: TrainingEnd): void {
    this.training = undefined;
    this.flush();
    this.tell({ type: 'ended', end });
  }

  private receive(message: WatcherMessage): void {
    if (message.type === 'who') {
      // Those who know it have the rest now; who asks gets all.
      this.flush();
      this.tell({ type: 'state', to: message.from, isTraining: this.training !== undefined, events: this.past });
    } else if (message.what === 'pause') this.training?.pause().catch(() => undefined);
    else this.training?.[message.what]();
  }

  private publish(event: TrainingEvent): void {
    this.past.push(event);
    if (this.past.length > keptEvents) this.past.splice(0, keptEvents / 10);
    this.unsent.push(event);
    this.timer ??= setTimeout(() => this.flush(), publishingInterval);
  }

  private flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const events = this.unsent;
    this.unsent = [];
    if (events.length > 0) this.tell({ type: 'events', events });
  }

  private tell(message: LeaderMessage): void {
    this.channel.postMessage(message);
  }
}

function numbersOf(run: RemoteRun): RunNumbers {
  const numbers = Object.entries(run).filter(([, value]) => typeof value !== 'function');
  return Object.fromEntries(numbers) as unknown as RunNumbers;
}

function elsewhere(name: string): LowrankError {
  return new LowrankError({
    code: 'worker.elsewhere',
    what: `the trainer ${name}`,
    expected: 'one tab that has it',
    got: 'another tab with it',
    remedy: 'Watch it (watchTrainer), which tells when it is free, or close the other tab.',
  });
}
