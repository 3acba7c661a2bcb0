import { hostname } from 'node:os';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { LowrankError } from '@lowrank/errors';
import { isLowrankError, printable } from '@lowrank/errors';
import { ErrorCode, Worker } from 'bullmq';
import type { Job } from 'bullmq';
import { badJob, misfit, runError } from './envelope.js';
import type { JobData, JobEnd, JobReport } from './envelope.js';
import { dropFiles, sendFiles } from './files.js';
import { heldJob, unreadableJob } from './heldJob.js';
import type { Held } from './heldJob.js';
import { decodeJson, encodeJson } from './json.js';
import { LockKeeper } from './lockKeeper.js';
import { openRedis } from './redis.js';
import type { RedisHome } from './redis.js';
import { defaultFileLimit, defaultTakeovers, keyPrefix, protocol, queueName, timingOf } from './settings.js';
import type { Timing } from './settings.js';

/** What a run gets beside its payload. */
export interface RunContext {
  readonly study: string;
  readonly id: string;
  /** Aborted when the run is handed back, or taken over by another worker: its result is not wanted any more. */
  readonly signal: AbortSignal;
  /** Tells the distributor how far it is; a word that cannot be sent is lost. */
  readonly progress: (value: unknown) => void;
}

/** What a worker makes of one run. */
export interface RunResult<Value> {
  readonly value: Value;
  /** A folder whose files are to travel; it may be removed when `onSettled` is called. */
  readonly files?: string;
  /**
   * Called when the result and its files are with the queue, or are not wanted; `kept`: the files were too large and
   * stay.
   */
  onSettled?(outcome: { readonly accepted: boolean; readonly kept: boolean }): void | Promise<void>;
}

/** What happens to a worker. */
export type WorkEvent =
  | { readonly type: 'ready' }
  | { readonly type: 'connection'; readonly state: 'lost' | 'back' }
  | { readonly type: 'started'; readonly study: string; readonly id: string; readonly takeovers: number }
  | {
      readonly type: 'finished';
      readonly study: string;
      readonly id: string;
      readonly status: 'done' | 'failed';
      readonly message?: string;
    }
  /** A job that nobody can read, or a Redis that answers with an error: the worker goes on. */
  | { readonly type: 'trouble'; readonly message: string }
  /** A run of another version, which is left to workers that know it; told once for each. */
  | { readonly type: 'refused'; readonly study: string; readonly id: string; readonly message: string }
  /** The run was given back to the queue: another takes it. */
  | { readonly type: 'handedBack'; readonly study: string; readonly id: string }
  /** The run was taken over by another worker, and the result of this one was refused. */
  | { readonly type: 'lost'; readonly study: string; readonly id: string };

/** Options of `work`. */
export interface WorkOptions<Payload, Value> {
  /** redis://… or rediss://… */
  readonly url: string;
  /** Of what runs are computed with; runs of another version are left to others. */
  readonly version: string;
  /** Shown to the distributor; default host:pid. */
  readonly name?: string;
  /**
   * Throws to end the run as failed. A LowrankError with the code `queue.unfit` says instead that this worker cannot
   * take it: it is handed back, and the worker ends.
   */
  run(payload: Payload, context: RunContext): Promise<RunResult<Value>>;
  onEvent?(event: WorkEvent): void;
  /** When aborted, `work` hands the current run back at once and returns. */
  readonly signal?: AbortSignal;
  /** Return after so many runs. */
  readonly runs?: number;
  /** Return after so many milliseconds without a run. */
  readonly idleExit?: number;
  /** Bytes of files that travel with a result; default 64 MiB. */
  readonly fileLimit?: number;
  /** How often a run may be lost with its worker before it counts as failed; default 3. */
  readonly takeovers?: number;
  readonly timing?: Partial<Timing>;
}

/** What a worker did until it ended, in runs. */
export interface WorkSummary {
  readonly finished: number;
  readonly failed: number;
  readonly lost: number;
  readonly handedBack: number;
}

/**
 * Takes runs off the queue, one at a time, until it has to stop.
 *
 * A run whose lock was lost meanwhile (a machine that slept, a cut network) is not finished here: Redis refuses the
 * late result. A job that no distributor made (another id, other data) ends as failed, and the worker takes the next. A
 * run of another version is put back for `timing.leave`, so that others find it first, and the worker takes the next.
 *
 * @throws {LowrankError} those of {@link openRedis}; queue.unfit when this worker cannot take the run that came (it is
 * handed back); queue.lost when Redis stays away
 */
export async function work<Payload, Value>(options: WorkOptions<Payload, Value>): Promise<WorkSummary> {
  const timing = timingOf(options.timing);
  const home = await openRedis({
    url: options.url,
    giveUp: timing.giveUp,
    onConnection: (state) => options.onEvent?.({ type: 'connection', state }),
  });
  const keeper = new LockKeeper({ url: options.url, timing });
  const bull = new Worker<JobData, JobEnd>(queueName, null, {
    connection: home.client,
    prefix: keyPrefix,
    autorun: false,
    skipVersionCheck: true,
    skipLockRenewal: true,
    lockDuration: timing.lock,
    stalledInterval: timing.stalledCheck,
    maxStalledCount: options.takeovers ?? defaultTakeovers,
    // So long a worker may take to notice that it is to stop.
    drainDelay: 1,
  });
  bull.on('error', () => undefined);
  try {
    return await new RunWorker({ options, timing, home, keeper, bull }).takeRuns();
  } finally {
    await keeper.close();
    await Promise.race([bull.close(true), home.gone]).catch(() => undefined);
    home.close();
  }
}

interface RunWorkerParts<Payload, Value> {
  readonly options: WorkOptions<Payload, Value>;
  readonly timing: Timing;
  readonly home: RedisHome;
  readonly keeper: LockKeeper;
  readonly bull: Worker<JobData, JobEnd>;
}

type Ending = 'done' | 'failed' | 'lost' | 'handedBack';

/** Runs of other versions that were told of: Redis may hold any number. */
const mostTold = 1000;

class RunWorker<Payload, Value> {
  private readonly name: string;
  private readonly workerId = randomUUID();
  private readonly counts: Record<Ending, number> = { done: 0, failed: 0, lost: 0, handedBack: 0 };

  private readonly told = new Set<string>();

  /** Redis stayed away: what still fails is no news. */
  private isGone = false;

  constructor(private readonly parts: RunWorkerParts<Payload, Value>) {
    this.name = parts.options.name ?? `${hostname()}:${process.pid}`;
    parts.home.gone.catch(() => (this.isGone = true));
  }

  async takeRuns(): Promise<WorkSummary> {
    const { options, bull, home, keeper } = this.parts;
    await Promise.race([Promise.all([bull.startStalledCheckTimer(), keeper.ready]), home.gone]);
    options.onEvent?.({ type: 'ready' });
    let idleSince = Date.now();
    let looks = 0;
    for (let taken = 0; options.signal?.aborted !== true && taken < (options.runs ?? Infinity);) {
      const token = `${this.workerId}:${looks++}`;
      const held = await Promise.race([this.next(token), home.gone]);
      const ending = held === undefined ? 'left' : await Promise.race([this.takeAnyhow(held), home.gone]);
      if (ending !== 'left') {
        this.counts[ending] += 1;
        taken += 1;
        idleSince = Date.now();
      } else if (options.idleExit !== undefined && Date.now() - idleSince >= options.idleExit) break;
    }
    const { done, failed, lost, handedBack } = this.counts;
    return { finished: done + failed, failed, lost, handedBack };
  }

  /** The next job, locked by this worker; undefined where there is none now. */
  private async next(token: string): Promise<Held | undefined> {
    try {
      const job = await this.parts.bull.getNextJob(token);
      return job?.id === undefined ? undefined : heldJob(job, job.id, token);
    } catch (error) {
      if (this.isGone) throw error;
      const held = await unreadableJob({ ...this.parts, client: this.parts.home.client, token, error }).catch(
        () => undefined,
      );
      if (held !== undefined) return held;
      await this.trouble(error);
      return undefined;
    }
  }

  /** Takes a job; what no run may end the worker with is a run that is lost. */
  private async takeAnyhow(held: Held): Promise<Ending | 'left'> {
    try {
      return await this.take(held);
    } catch (error) {
      if (isLowrankError(error) || this.isGone) throw error;
      await this.trouble(error);
      return this.lost(held);
    }
  }

  private async trouble(error: unknown): Promise<void> {
    const message = error instanceof Error ? error.message : String(error);
    this.parts.options.onEvent?.({ type: 'trouble', message: printable(message.slice(0, 300)) });
    await delay(this.parts.timing.stalledCheck / 5);
  }

  private async take(held: Held): Promise<Ending | 'left'> {
    const { options, keeper, home } = this.parts;
    const { job, token, study, id } = held;
    if (options.signal?.aborted === true) return this.handBack(held);
    const bad = held.bad ?? badJob(job.data);
    if (bad !== undefined) return this.finish(held, { status: 'failed', error: runError(bad) });
    const refusal = misfit(job.data, options.version);
    if (refusal !== undefined) return this.leave(held, refusal);
    if (job.deferredFailure) return this.finish(held, { status: 'failed', error: tooOften(id, job.stalledCounter) });
    const controller = new AbortController();
    const ends = new Promise<'lost' | 'handedBack'>((resolve) => {
      keeper.hold(job.id ?? '', token, () => resolve('lost'));
      options.signal?.addEventListener('abort', () => resolve('handedBack'), { once: true });
    });
    home.gone.catch(() => controller.abort());
    options.onEvent?.({ type: 'started', study, id, takeovers: job.stalledCounter });
    this.report(job, { type: 'started', worker: this.name, takeovers: job.stalledCounter });
    const running = this.run(held, controller.signal);
    const first = await Promise.race([running.then((settled) => ({ settled })), ends]);
    if (typeof first === 'object') return this.settle(held, first.settled);
    // At once, before the run has noticed: another may begin.
    const ending = first === 'handedBack' ? await this.handBack(held) : this.lost(held);
    controller.abort();
    const late = await running;
    if ('result' in late) await late.result.onSettled?.({ accepted: false, kept: false });
    return ending;
  }

  private async run(
    { job, study, id }: Held,
    signal: AbortSignal,
  ): Promise<{ result: RunResult<Value> } | { error: unknown }> {
    const progress = (value: unknown): void => {
      if (!signal.aborted) this.report(job, { type: 'progress', value: encodeJson(value) });
    };
    try {
      return {
        result: await this.parts.options.run(decodeJson(job.data.payload) as Payload, { study, id, signal, progress }),
      };
    } catch (error) {
      return { error };
    }
  }

  private async settle(held: Held, settled: { result: RunResult<Value> } | { error: unknown }): Promise<Ending> {
    if ('error' in settled) {
      if (isLowrankError(settled.error) && settled.error.code === 'queue.unfit')
        throw await this.refuse(held, settled.error);
      return this.finish(held, { status: 'failed', error: runError(settled.error) });
    }
    const { client } = this.parts.home;
    const { result } = settled;
    const files =
      result.files === undefined
        ? undefined
        : await sendFiles(client, {
            folder: result.files,
            key: `${keyPrefix}:files:${held.job.id}:${held.token}`,
            limit: this.parts.options.fileLimit ?? defaultFileLimit,
            keep: this.parts.timing.keep,
          });
    const ending = await this.finish(held, { status: 'done', value: encodeJson(result.value), files });
    const accepted = ending === 'done';
    if (!accepted && files?.kind === 'sent') await dropFiles(client, files);
    await result.onSettled?.({ accepted, kept: accepted && files?.kind === 'left' });
    return ending;
  }

  /** The one place where a run ends: Redis looks whether the lock is still ours, and ends it, in one step. */
  private async finish(held: Held, result: JobEnd['result']): Promise<Ending> {
    const { job, token, study, id } = held;
    try {
      await job.moveToCompleted({ protocol, worker: this.name, takeovers: job.stalledCounter, result }, token, false);
    } catch (error) {
      if (isLostLock(error)) return this.lost(held);
      throw error;
    } finally {
      this.parts.keeper.release();
    }
    this.parts.options.onEvent?.({
      type: 'finished',
      study,
      id,
      status: result.status,
      message: result.status === 'failed' ? result.error.message : undefined,
    });
    return result.status;
  }

  private lost({ study, id }: Held): 'lost' {
    this.parts.keeper.release();
    this.parts.options.onEvent?.({ type: 'lost', study, id });
    return 'lost';
  }

  private async handBack(held: Held): Promise<'handedBack' | 'lost'> {
    this.parts.keeper.release();
    this.report(held.job, { type: 'handedBack', worker: this.name });
    try {
      await held.job.moveToWait(held.token);
    } catch (error) {
      if (isLostLock(error)) return this.lost(held);
      throw error;
    }
    this.parts.options.onEvent?.({ type: 'handedBack', study: held.study, id: held.id });
    return 'handedBack';
  }

  /** Puts a run of another version back for a while: in front of the queue it would come again at once. */
  private async leave(held: Held, { message }: LowrankError): Promise<'left' | 'lost'> {
    const { job, token, study, id } = held;
    const { options, timing, keeper } = this.parts;
    const key = `${study}/${id}`;
    if (!this.told.has(key)) {
      if (this.told.size >= mostTold) this.told.clear();
      this.told.add(key);
      options.onEvent?.({ type: 'refused', study, id, message });
      this.report(job, { type: 'refused', worker: this.name, message });
    }
    try {
      await job.moveToDelayed(Date.now() + timing.leave, token);
    } catch (error) {
      if (isLostLock(error)) return this.lost(held);
      throw error;
    }
    keeper.release();
    return 'left';
  }

  private async refuse(held: Held, error: LowrankError): Promise<LowrankError> {
    this.report(held.job, { type: 'refused', worker: this.name, message: error.message });
    await this.handBack(held);
    return error;
  }

  private report(job: Job<JobData, JobEnd>, report: JobReport): void {
    void job.updateProgress(report).catch(() => undefined);
  }
}

function isLostLock(error: unknown): boolean {
  const codes: readonly unknown[] = [
    ErrorCode.JobNotExist,
    ErrorCode.JobLockNotExist,
    ErrorCode.JobNotInState,
    ErrorCode.JobLockMismatch,
  ];
  return error instanceof Error && 'code' in error && codes.includes(error.code);
}

function tooOften(id: string, times: number): { code: string; message: string } {
  return {
    code: 'queue.takeovers',
    message:
      `run ${id}: its worker was lost ${times} times (killed, out of memory, cut off), and it is not handed ` +
      'out again. Look at what the workers said last, and at their memory; a worker that is too small for a ' +
      'run dies of it.',
  };
}
