import { setTimeout as delay } from 'node:timers/promises';
import { LowrankError, printable } from '@lowrank/errors';
import { Queue, QueueEvents } from 'bullmq';
import type { Job } from 'bullmq';
import { jobIdOf } from './address.js';
import { jobData, readEnd, readReport } from './envelope.js';
import type { JobData, JobEnd, JobReport, RunError } from './envelope.js';
import { dropFiles, receiveFiles } from './files.js';
import type { FilesLeft } from './files.js';
import { decodeJson, encodeJson } from './json.js';
import { openRedis } from './redis.js';
import type { RedisHome } from './redis.js';
import { keyPrefix, queueName, timingOf } from './settings.js';
import type { Timing } from './settings.js';
import { leaseStudy } from './studyLease.js';

/** A run to be done somewhere. Its id is its name within the study. */
export interface DistributedRun<Payload> {
  readonly id: string;
  readonly payload: Payload;
}

/** Files of a run that came with its outcome, until `onOutcome` returns; or where they stayed. */
export type RunFiles =
  | {
      readonly kind: 'sent';
      readonly bytes: number;
      readonly names: readonly string[];
      saveTo(folder: string): Promise<void>;
    }
  | FilesLeft;

/** How a run ended: a value, with files or without, or an error. */
export type RunOutcome<Value> = { readonly worker: string; readonly takeovers: number } & (
  | { readonly status: 'done'; readonly value: Value; readonly files?: RunFiles }
  | { readonly status: 'failed'; readonly error: RunError }
);

/** What happens to a study's runs while workers do them. */
export type DistributeEvent =
  | { readonly type: 'connection'; readonly state: 'lost' | 'back' }
  /** What a worker said with `progress`. */
  | { readonly type: 'progress'; readonly id: string; readonly value: unknown }
  /** Its worker was lost: another takes it over. */
  | { readonly type: 'lost'; readonly id: string }
  | { readonly type: 'handedBack'; readonly id: string; readonly worker: string }
  /** A worker could not take it: another version, and it takes others; or a path it does not have, and it ended. */
  | { readonly type: 'refused'; readonly id: string; readonly worker: string; readonly message: string }
  /** Redis had forgotten it, and it was added again. */
  | { readonly type: 'addedAgain'; readonly id: string }
  /** For this long no worker has had a run of this study. */
  | { readonly type: 'unattended'; readonly milliseconds: number };

/** Options of `distribute`. */
export interface DistributeOptions<Payload, Value> {
  /** redis://… or rediss://… */
  readonly url: string;
  /** The study's name: the same name finds its runs again. */
  readonly study: string;
  /** Of what runs are computed with; workers of another version leave them to others. */
  readonly version: string;
  readonly runs: readonly DistributedRun<Payload>[];
  /** A worker has begun a run; again when another took it over. */
  onStarted?(id: string, by: { readonly worker: string; readonly takeovers: number }): void;
  /**
   * Once for each run, one after another. Once it has returned the queue forgets the run; if it throws, the queue keeps
   * it for the next time.
   */
  onOutcome(id: string, outcome: RunOutcome<Value>): void | Promise<void>;
  onEvent?(event: DistributeEvent): void;
  /**
   * Aborted, runs that have not begun are taken back and `distribute` returns; those at work go on, and are found when
   * the study is resumed.
   */
  readonly signal?: AbortSignal;
  readonly timing?: Partial<Timing>;
}

/** How a distribution ended. */
export interface DistributeSummary {
  readonly interrupted: boolean;
  /** Runs without an outcome that stay in the queue: workers were still at them. */
  readonly atWork: readonly string[];
}

/**
 * Hands runs out to workers and waits for all of their outcomes. Runs that the queue knows already (of the same study,
 * begun earlier) are not added twice; those that have finished meanwhile are reported at once.
 *
 * @throws {LowrankError} those of {@link openRedis}; queue.id, queue.duplicate, queue.studyBusy; queue.changed when a
 * worker is at a run of the same name with another payload; queue.lost when Redis stays away. What `onOutcome` throws
 * comes through.
 */
export async function distribute<Payload, Value>(
  options: DistributeOptions<Payload, Value>,
): Promise<DistributeSummary> {
  const timing = timingOf(options.timing);
  const ids = new Map(options.runs.map((run) => [jobIdOf(options.study, run.id), run]));
  if (ids.size < options.runs.length)
    throw new LowrankError({
      code: 'queue.duplicate',
      what: `the runs of the study ${options.study}`,
      expected: 'an id for each',
      got: `${options.runs.length} runs with ${ids.size} ids`,
    });
  const home = await openRedis({
    url: options.url,
    giveUp: timing.giveUp,
    onConnection: (state) => options.onEvent?.({ type: 'connection', state }),
  });
  try {
    const lease = await Promise.race([leaseStudy(home.client, options.study, options.signal), home.gone]);
    const connection = { prefix: keyPrefix, skipVersionCheck: true };
    const queue = new Queue<JobData, JobEnd>(queueName, {
      ...connection,
      connection: home.client,
      streams: { events: { maxLen: 1000 } },
    });
    const events = new QueueEvents(queueName, { ...connection, connection: home.open() });
    queue.on('error', () => undefined);
    events.on('error', () => undefined);
    const desk = new Desk({ options, timing, home, queue, pending: ids });
    try {
      return await Promise.race([desk.serve(events), home.gone]);
    } finally {
      await Promise.race([lease.release().then(() => Promise.all([events.close(), queue.close()])), home.gone]).catch(
        () => undefined,
      );
    }
  } finally {
    home.close();
  }
}

interface DeskParts<Payload, Value> {
  readonly options: DistributeOptions<Payload, Value>;
  readonly timing: Timing;
  readonly home: RedisHome;
  readonly queue: Queue<JobData, JobEnd>;
  /** By job id; a run leaves when its outcome has been taken. */
  readonly pending: Map<string, DistributedRun<Payload>>;
}

/** So often all runs are looked at, should an event have been missed. */
const sweep = 3000;

class Desk<Payload, Value> {
  private readonly finished = new Set<string>();
  private wake: () => void = () => undefined;
  private attended = Date.now();

  constructor(private readonly parts: DeskParts<Payload, Value>) {}

  async serve(events: QueueEvents): Promise<DistributeSummary> {
    const { options, pending, queue, timing } = this.parts;
    this.listen(events);
    await events.waitUntilReady();
    for (const state of ['completed', 'failed'] as const) await queue.clean(timing.keep, 1000, state);
    const signal = options.signal;
    const interrupted = (): boolean => signal?.aborted === true;
    let left = 0;
    signal?.addEventListener('abort', () => this.wake(), { once: true });
    try {
      for (const jobId of pending.keys()) if (!interrupted()) await this.add(jobId);
      for (let swept = 0; pending.size > 0 && !interrupted();) {
        const all = Date.now() - swept >= sweep;
        if (all) swept = Date.now();
        const look = all ? [...pending.keys()] : [...this.finished];
        this.finished.clear();
        for (const jobId of look) if (!interrupted()) await this.look(jobId);
        if (all) this.tellUnattended();
        if (pending.size > 0 && this.finished.size === 0 && !interrupted())
          await this.rest(sweep - (Date.now() - swept));
      }
    } finally {
      left = pending.size;
      if (left > 0) await this.takeBack();
    }
    await this.tidy();
    return { interrupted: left > 0, atWork: [...pending.values()].map((run) => run.id) };
  }

  private listen(events: QueueEvents): void {
    const { options, pending } = this.parts;
    const ended = ({ jobId }: { jobId: string }): void => {
      if (!pending.has(jobId)) return;
      this.finished.add(jobId);
      this.wake();
    };
    events.on('completed', ended);
    events.on('failed', ended);
    events.on('removed', ended);
    events.on('stalled', ({ jobId }) => {
      const run = pending.get(jobId);
      if (run !== undefined) options.onEvent?.({ type: 'lost', id: run.id });
    });
    events.on('progress', ({ jobId, data }) => {
      const run = pending.get(jobId);
      const report = readReport(data);
      if (run !== undefined && report !== undefined) this.receive(run.id, report);
    });
  }

  private receive(id: string, report: JobReport): void {
    const { options } = this.parts;
    if (report.type === 'started' || report.type === 'progress') this.attended = Date.now();
    if (report.type === 'started') options.onStarted?.(id, { worker: report.worker, takeovers: report.takeovers });
    else if (report.type === 'progress') this.receiveProgress(id, report.value);
    else options.onEvent?.({ ...report, id });
  }

  private receiveProgress(id: string, text: string): void {
    let value: unknown;
    try {
      value = decodeJson(text);
    } catch {
      // No JSON: a word that is lost.
      return;
    }
    this.parts.options.onEvent?.({ type: 'progress', id, value });
  }

  /** A job of the queue; one that cannot be read is removed, as if Redis had forgotten it. */
  private async read(jobId: string): Promise<Job<JobData, JobEnd> | undefined> {
    const { queue } = this.parts;
    try {
      return await queue.getJob(jobId);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      await queue.remove(jobId).catch(() => undefined);
      return undefined;
    }
  }

  private async add(jobId: string): Promise<void> {
    const { options, pending, queue, timing } = this.parts;
    const run = pending.get(jobId);
    if (run === undefined) return;
    const data = jobData(options.version, encodeJson(run.payload));
    const known = await this.read(jobId);
    if (known !== undefined) {
      const { protocol: form, version, payload } = known.data ?? {};
      if (form === data.protocol && version === data.version && payload === data.payload) return;
      // BullMQ removes no job that a worker holds.
      await known.remove().catch((cause: unknown) => {
        throw new LowrankError({
          code: 'queue.changed',
          what: `run ${run.id} of the study ${options.study}`,
          expected: 'what the queue holds under that name',
          got: 'another version or other settings, while a worker is at the old run',
          remedy: 'Let that worker finish or stop it, then start again; or use another output folder.',
          cause,
        });
      });
    }
    const keep = { age: Math.ceil(timing.keep / 1000) };
    await queue.add('run', data, { jobId, attempts: 1, removeOnComplete: keep, removeOnFail: keep });
  }

  /** Takes the outcome of a run if it has one. */
  private async look(jobId: string): Promise<void> {
    const { options, pending } = this.parts;
    const run = pending.get(jobId);
    if (run === undefined) return;
    const job = await this.read(jobId);
    if (job === undefined) {
      options.onEvent?.({ type: 'addedAgain', id: run.id });
      return this.add(jobId);
    }
    if (job.finishedOn === undefined) {
      if (job.processedOn !== undefined && (await job.isActive())) this.attended = Date.now();
      return;
    }
    this.attended = Date.now();
    await options.onOutcome(run.id, this.outcomeOf(job, jobId));
    pending.delete(jobId);
    const sent = readEnd(job.returnvalue, jobId)?.result;
    if (sent?.status === 'done' && sent.files?.kind === 'sent') await dropFiles(this.parts.home.client, sent.files);
    await job.remove();
  }

  private outcomeOf(job: Job<JobData, JobEnd>, jobId: string): RunOutcome<Value> {
    const unreadable = (message: string): RunOutcome<Value> => ({
      worker: 'unknown',
      takeovers: Number(job.stalledCounter),
      status: 'failed',
      error: { code: 'queue.protocol', message },
    });
    const form = 'the run ended in a form that this version does not read';
    const end = readEnd(job.returnvalue, jobId);
    if (end === undefined)
      return unreadable(printable(job.failedReason ?? `${form} (${JSON.stringify(job.returnvalue)?.slice(0, 100)})`));
    const { worker, takeovers, result } = end;
    if (result.status === 'failed') return { worker, takeovers, status: 'failed', error: result.error };
    let value: Value;
    try {
      value = decodeJson(result.value) as Value;
    } catch {
      return unreadable(`${form} (no JSON)`);
    }
    const { files } = result;
    const { client } = this.parts.home;
    const taken: RunFiles | undefined =
      files?.kind === 'sent'
        ? {
            kind: 'sent',
            bytes: files.bytes,
            names: files.files.map((file) => file.name),
            saveTo: (folder) => receiveFiles(client, files, folder),
          }
        : files;
    return {
      worker,
      takeovers,
      status: 'done',
      value,
      ...(taken === undefined ? {} : { files: taken }),
    };
  }

  private tellUnattended(): void {
    const milliseconds = Date.now() - this.attended;
    if (milliseconds >= this.parts.timing.unattended && this.parts.pending.size > 0)
      this.parts.options.onEvent?.({ type: 'unattended', milliseconds });
  }

  /**
   * Runs that have not begun leave the queue; those that a worker holds stay, and so do outcomes that were not taken.
   */
  private async takeBack(): Promise<void> {
    const { pending } = this.parts;
    for (const jobId of pending.keys()) {
      const job = await this.read(jobId);
      const state = await job?.getState();
      if (job !== undefined && (state === 'active' || state === 'completed' || state === 'failed')) continue;
      await job?.remove().then(
        () => pending.delete(jobId),
        () => undefined,
      );
    }
  }

  /** Events of an empty queue are of no use to anyone. */
  private async tidy(): Promise<void> {
    const counts = await this.parts.queue.getJobCounts();
    if (Object.values(counts).every((count) => count === 0)) await this.parts.queue.trimEvents(0);
  }

  private async rest(milliseconds: number): Promise<void> {
    const timer = new AbortController();
    await Promise.race([
      new Promise<void>((resolve) => (this.wake = resolve)),
      delay(Math.max(0, milliseconds), undefined, { signal: timer.signal }).catch(() => undefined),
    ]);
    timer.abort();
  }
}
