import { format } from '@lowrank/study';
import type { RunProgress, StudyEvent, StudyOptions, StudyOutcome, StudyRun } from '@lowrank/study';
import type { Speaker } from './io.js';
import type { QueueFlags } from './studyExecutor.js';
import { duration } from './duration.js';

export interface StudyContext {
  readonly speaker: Speaker;
  readonly onInterrupted: () => void;
}

/** Where runs are done decides what becomes of them on Ctrl-C. */
const givenUp = {
  here: 'the current run is given up',
  queue:
    'runs that no worker has begun are taken back; workers go on with theirs, and their results are kept for ' +
    'the next time',
};

/** Between two lines about a run; on a terminal the line is overwritten. */
const secondsBetweenLines = 5;

/**
 * Runs a study, and reports its progress and its result. Ctrl-C ends the current run, or takes back what waits in the
 * queue.
 */
export async function runStudyCommand<Table extends { readonly interrupted: boolean }>(
  { speaker, onInterrupted, queue }: StudyContext & QueueFlags,
  study: (hooks: Pick<StudyOptions, 'signal' | 'onEvent'>) => Promise<Table>,
  describe: (table: Table) => string,
): Promise<void> {
  const controller = new AbortController();
  const release = speaker.io.onInterrupt(
    () => controller.abort(),
    `\ninterrupted: ${queue === undefined ? givenUp.here : givenUp.queue}. Press Ctrl-C again to stop at once.\n`,
  );
  const reporter = new StudyReporter(speaker);
  try {
    const table = await study({ signal: controller.signal, onEvent: (event) => reporter.report(event) });
    if (table.interrupted) {
      onInterrupted();
      speaker.result(
        table,
        `interrupted: ${reporter.done} of ${reporter.runs} runs are done and kept. The same command goes on with ` +
          'the others.',
      );
    } else speaker.result(table, describe(table));
  } finally {
    release();
  }
}

/** Reports the current run, its progress, and how long all runs will take. */
export class StudyReporter {
  runs = 0;
  done = 0;
  private steps = 0;
  private stepsDone = 0;
  /** Of the runs that were done now: what the time left is judged by. */
  private stepsTaken = 0;
  private begun: number | undefined;
  private last = 0;
  /** By run, in the order in which they were first heard of: over a queue several are at work. */
  private readonly numbers = new Map<string, number>();
  private drawn = false;
  private readonly warned = new Set<string>();

  constructor(private readonly speaker: Speaker) {}

  report(event: StudyEvent): void {
    switch (event.type) {
      case 'warning':
        return this.warn(event.text);
      case 'planned':
        [this.runs, this.steps] = [event.runs, event.steps];
        return;
      case 'started':
        this.begun ??= performance.now();
        this.last = performance.now();
        return this.say(this.named(event.run));
      case 'progress':
        return this.reportProgress(event.run, event.progress);
      case 'outcome':
        return this.reportOutcome(event);
    }
  }

  private reportProgress(run: StudyRun, { stage, step, steps, loss }: RunProgress): void {
    const { isTTY } = this.speaker.io;
    const now = performance.now();
    if (now - this.last < (isTTY ? 0.2 : secondsBetweenLines) * 1000) return;
    this.last = now;
    const at = stage === 'training' ? `step ${step} of ${steps}` : `scoring, ${step} of ${steps} prompts answered`;
    const score = loss === undefined ? '' : `, loss ${loss.toFixed(4)}`;
    const text = `${this.named(run)}: ${at}${score}${this.left(stage === 'training' ? step : steps)}`;
    if (!isTTY) return this.say(text);
    this.speaker.io.stderr(`\r\u001b[K${text}`);
    this.drawn = true;
  }

  private reportOutcome({ run, outcome, reused }: Extract<StudyEvent, { type: 'outcome' }>): void {
    if (outcome.status === 'done') outcome.warnings.forEach((text) => this.warn(text));
    this.done++;
    const steps = run.training.steps ?? 1;
    this.stepsDone += steps;
    if (!reused) this.stepsTaken += steps;
    this.speaker.line({ run: run.id, label: run.label, purpose: run.purpose, reused, outcome });
    this.say(`${this.named(run)}: ${reused ? 'done before: ' : ''}${describeOutcome(outcome)}`);
  }

  private named({ id, label }: StudyRun): string {
    const number = this.numbers.get(id) ?? this.numbers.size + 1;
    this.numbers.set(id, number);
    return `run ${number} of ${this.runs}: ${label}`;
  }

  /** Runs read the same rows: once is enough. */
  private warn(text: string): void {
    if (this.warned.has(text)) return;
    this.warned.add(text);
    this.say(`warning: ${text}`);
  }

  private say(text: string): void {
    if (this.drawn) this.speaker.io.stderr('\r\u001b[K');
    this.drawn = false;
    this.speaker.say(text);
  }

  /** Judged by the steps taken so far, scoring included; nothing while there is little to judge by. */
  private left(steps: number): string {
    const taken = this.stepsTaken + steps;
    if (this.begun === undefined || taken < 3 || this.steps <= this.runs) return '';
    const each = (performance.now() - this.begun) / taken;
    return `, about ${duration(each * Math.max(0, this.steps - this.stepsDone - steps))} left`;
  }
}

function describeOutcome(outcome: StudyOutcome): string {
  if (outcome.status === 'failed') return `failed: ${outcome.error.message}`;
  const scores = Object.entries(outcome.scores).map(
    ([name, value]) => `${name} ${format.score(name as keyof typeof outcome.scores, value)}`,
  );
  return `${scores.join(', ')}, in ${duration(outcome.measured.seconds * 1000)}`;
}
