import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type * as WorkerThreads from 'node:worker_threads';
import type * as Bullmq from 'bullmq';
import type * as Ioredis from 'ioredis';
import { keyPrefix, queueName } from './settings.js';
import type { Timing } from './settings.js';

interface KeeperData {
  readonly bullmq: string;
  readonly ioredis: string;
  readonly url: string;
  readonly keyPrefix: string;
  readonly queueName: string;
  readonly lock: number;
  readonly hung: number;
  /** Counts the breaths of the main thread. */
  readonly beat: Int32Array;
}

/**
 * Renews the lock of the current run from its own thread: a training step may keep the main thread busy for longer
 * than a lock lives, and BullMQ's own timer with it. A process that is killed or stopped renews nothing, and neither
 * does one whose main thread hangs for `timing.hung`.
 */
export class LockKeeper {
  private readonly beat = new Int32Array(new SharedArrayBuffer(4));
  private readonly pulse: NodeJS.Timeout;
  private readonly thread: Worker;
  /** Resolves when the thread has its connection; a run that is taken earlier might outlast its first lock. */
  readonly ready: Promise<void>;
  private held: { readonly token: string; onLost(): void } | undefined;

  constructor({ url, timing }: { url: string; timing: Timing }) {
    const { resolve } = createRequire(import.meta.url);
    const data: KeeperData = {
      bullmq: resolve('bullmq'),
      ioredis: resolve('ioredis'),
      url,
      keyPrefix,
      queueName,
      lock: timing.lock,
      hung: timing.hung,
      beat: this.beat,
    };
    this.thread = new Worker(`(${String(keep)})(require('node:worker_threads'), require)`, {
      eval: true,
      workerData: data,
    });
    this.thread.unref();
    this.ready = new Promise((resolve, reject) => {
      this.thread.on('message', ({ lost }: { lost?: string }) => {
        if (lost === undefined) resolve();
        else if (lost === this.held?.token) this.held.onLost();
      });
      // Without the thread the lock runs out, and another worker takes the run: the same as when it is lost.
      this.thread.on('error', (error) => {
        this.held?.onLost();
        reject(error);
      });
    });
    this.ready.catch(() => undefined);
    this.pulse = setInterval(() => Atomics.add(this.beat, 0, 1), Math.min(1000, timing.hung / 4));
    this.pulse.unref();
  }

  /** Begins to renew a lock. `onLost` is called when another has it, or it is gone. */
  hold(jobId: string, token: string, onLost: () => void): void {
    this.held = { token, onLost };
    this.thread.postMessage({ jobId, token });
  }

  release(): void {
    this.held = undefined;
    this.thread.postMessage(undefined);
  }

  async close(): Promise<void> {
    clearInterval(this.pulse);
    await this.thread.terminate();
  }
}

/** The thread. It is sent as text: nothing of this file is in its reach. */
function keep({ parentPort, workerData }: typeof WorkerThreads, load: NodeJS.Require): void {
  const { bullmq, ioredis, url, keyPrefix: prefix, queueName: name, lock, hung, beat } = workerData as KeeperData;
  const { Redis } = load(ioredis) as typeof Ioredis;
  const { Job, Queue } = load(bullmq) as typeof Bullmq;
  // A renewal that cannot be sent now is tried again soon; one that is sent late might renew what is another's by then.
  const client = new Redis(url, { maxRetriesPerRequest: 0, enableOfflineQueue: false, retryStrategy: () => 500 });
  client.on('error', () => undefined);
  const queue = new Queue(name, { connection: client, prefix, skipVersionCheck: true, skipMetasUpdate: true });
  queue.on('error', () => undefined);
  let held: { jobId: string; token: string } | undefined;
  let breath = { count: -1, at: Date.now() };
  parentPort?.on('message', (message: typeof held) => (held = message));
  const renew = async (): Promise<void> => {
    const count = Atomics.load(beat, 0);
    if (count !== breath.count) breath = { count, at: Date.now() };
    if (held === undefined || Date.now() - breath.at > hung) return;
    const { jobId, token } = held;
    const job = await Job.fromId(queue, jobId);
    if (job === undefined || (await job.extendLock(token, lock)) !== 1) parentPort?.postMessage({ lost: token });
  };
  const tick = (): void =>
    void renew()
      .catch(() => undefined)
      .finally(() => setTimeout(tick, lock / 4));
  client.once('ready', () => {
    parentPort?.postMessage({});
    tick();
  });
}
