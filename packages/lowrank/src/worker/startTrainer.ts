import { LowrankError } from '@lowrank/errors';
import { Channel } from './channel.js';
import { TrainerLeader } from './leader.js';
import type { Offered, Received } from './offered.js';
import type { AnyWorker, OpenedWorker } from './openWorker.js';
import { openWorker } from './openWorker.js';
import type { RemoteLoadOptions, RemoteLoadTaskOptions, RemoteModel, RemoteTaskedModel, Trainer } from './remote.js';
import type { ModelSource } from '../front/modelSource.js';
import { fineTuneRemotely, remoteModel, remoteTaskedModel, unanswered } from './remoteModel.js';

/** Options of `startTrainer`. */
export interface TrainerOptions {
  /**
   * Makes the worker, where a bundler or a page's policy needs it done in another way than
   * `new Worker(new URL('./trainerThread.js', import.meta.url), { type: 'module' })`. Its file is the entry
   * `lowrank/worker/thread`.
   */
  readonly worker?: (() => AnyWorker) | undefined;
  /**
   * A name under which tabs of this origin share a trainer: one has it at a time, and {@link watchTrainer} shows the
   * others what it does.
   */
  readonly share?: string | undefined;
}

/**
 * Starts a worker that trains, so that a page keeps drawing and a server keeps answering:
 *
 *     const trainer = await startTrainer();
 *     const model = await trainer.loadModel('HuggingFaceTB/SmolLM2-135M-Instruct', { quantization: 'nf4' });
 *     const run = await trainer.fineTune(model, { data: file, r: 16, steps: 200, onStep: ({ loss }) => draw(loss) });
 *     download(await run.files());
 *     trainer.dispose();
 *
 * @throws LowrankError `worker.start` where the worker's file cannot be had; with `share` `worker.elsewhere` while
 * another tab has it, `worker.tabs` where tabs cannot know
 */
export async function startTrainer({ worker, share }: TrainerOptions = {}): Promise<Trainer> {
  const leader = share === undefined ? undefined : await TrainerLeader.begin(share);
  try {
    const trainer = await start(worker, leader);
    void trainer.closed.then(() => leader?.close());
    return trainer;
  } catch (error) {
    leader?.close();
    throw error;
  }
}

async function start(worker: TrainerOptions['worker'], leader: TrainerLeader | undefined): Promise<Trainer> {
  const opened = openOrThrow(worker);
  const channel = new Channel(opened.port, { onBusy: (busy) => opened.keepAlive(busy) });
  const end = endOf(opened, channel);
  const offered = (await channel.offered) as Received<Offered>;
  end.started();
  opened.keepAlive(false);
  await watchLock(offered, end.die);
  const { loadModel: _, loadTaskedModel: __, holdLock: ___, ...plain } = offered;
  return {
    ...plain,
    loadModel: loadingBy(offered),
    fineTune: (model, options) => leader?.fineTune(model, options) ?? fineTuneRemotely(model, options),
    closed: end.closed,
    dispose: () => end.dispose(),
  };
}

function loadingBy({ loadModel, loadTaskedModel }: Received<Offered>): Trainer['loadModel'] {
  async function load(source: ModelSource, options: RemoteLoadTaskOptions): Promise<RemoteTaskedModel>;
  async function load(source: ModelSource, options?: RemoteLoadOptions): Promise<RemoteModel>;
  async function load(
    source: ModelSource,
    options: RemoteLoadOptions | RemoteLoadTaskOptions = {},
  ): Promise<RemoteModel | RemoteTaskedModel> {
    const { onProgress, onWarning } = options;
    const listeners = { onProgress: unanswered(onProgress), onWarning: unanswered(onWarning) };
    return 'task' in options && options.task !== undefined
      ? remoteTaskedModel(await loadTaskedModel(source, { ...options, ...listeners }))
      : remoteModel(await loadModel(source, { ...options, ...listeners }));
  }
  return load;
}

function openOrThrow(worker: TrainerOptions['worker']): OpenedWorker {
  try {
    return openWorker(worker);
  } catch (error) {
    throw notStarted(error instanceof Error ? error.message : String(error), error);
  }
}

interface WorkerEnd {
  readonly closed: Promise<LowrankError | undefined>;
  readonly started: () => void;
  readonly die: (reason: string, cause?: unknown) => void;
  readonly dispose: () => void;
}

/** How a worker ends: by itself, which is an error of every call, or since it is not needed any more. */
function endOf(opened: OpenedWorker, channel: Channel): WorkerEnd {
  let hasStarted = false;
  let resolve: (error: LowrankError | undefined) => void = () => undefined;
  const closed = new Promise<LowrankError | undefined>((settle) => (resolve = settle));
  const die = (reason: string, cause?: unknown): void => {
    const error = hasStarted ? died(reason, cause) : notStarted(reason, cause);
    channel.close(error);
    opened.terminate();
    resolve(error);
  };
  opened.onDeath(die);
  const dispose = (): void => {
    // Before the end of the worker is noticed.
    channel.close(disposed());
    resolve(undefined);
    opened.terminate();
  };
  return { closed, started: () => void (hasStarted = true), die, dispose };
}

/**
 * Browsers do not say when a worker is gone, as for want of memory. But they release the locks that it held.
 */
async function watchLock({ holdLock }: Received<Offered>, die: WorkerEnd['die']): Promise<void> {
  const locks = typeof window === 'undefined' ? undefined : window.navigator.locks;
  if (locks === undefined) return;
  const name = `lowrank-trainer-${crypto.randomUUID()}`;
  await holdLock(name);
  locks.request(name, () => die('the browser has ended it')).catch(() => undefined);
}

function notStarted(got: string, cause?: unknown): LowrankError {
  return new LowrankError({
    code: 'worker.start',
    what: 'the trainer’s worker',
    expected: 'a worker of the file trainerThread.js beside lowrank/worker',
    got,
    remedy:
      'Where a bundler does not follow `new Worker(new URL(…))`, add the entry lowrank/worker/thread to the build, ' +
      'and give startTrainer({ worker: () => new Worker(…) }).',
    cause,
  });
}

function died(got: string, cause?: unknown): LowrankError {
  return new LowrankError({
    code: 'worker.died',
    what: 'the trainer’s worker',
    expected: 'one that answers',
    got,
    remedy:
      'Start another (startTrainer), load the model again, and go on from the last checkpoint. ' +
      'Where memory was short: a smaller batchSize or maxLength, checkpointing, or quantization.',
    cause,
  });
}

function disposed(): LowrankError {
  return new LowrankError({
    code: 'worker.closed',
    what: 'the trainer',
    expected: 'one in use',
    got: 'a disposed one',
    remedy: 'Start another: startTrainer().',
  });
}
