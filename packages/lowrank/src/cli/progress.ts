import type { EvaluatedEvent, StepEvent } from '@lowrank/trainer';
import type { LoadProgress } from '../front/loadingReporter.js';
import { duration } from './duration.js';
import type { Speaker } from './io.js';
import type { TrainingState } from './trainingLine.js';
import { rate, trainingLine, wantsColour } from './trainingLine.js';

/** Shows a training while it happens: a line that is redrawn on a terminal, else one every few seconds. */
export interface Progress {
  step(event: StepEvent): void;
  evaluated(event: EvaluatedEvent): void;
  /** Says something above the line. */
  above(say: () => void): void;
  stop(): void;
}

export interface ProgressOptions {
  /** Steps that were taken before. */
  readonly from?: number;
}

/** Between lines where there is no terminal. */
const secondsBetweenLines = 5;
/** Between two drawings of the line, in milliseconds. */
const pauseOfDrawing = 100;

/** @param steps in all */
export function startProgress(speaker: Speaker, steps: number, options: ProgressOptions = {}): Progress {
  const shown = { ...options, steps };
  return speaker.io.isTTY ? new DrawnProgress(speaker, shown) : new SpokenProgress(speaker, shown);
}

type ShownSteps = ProgressOptions & { readonly steps: number };

/** What both show of the steps so far. */
class StepMeter {
  private readonly begun = performance.now();
  private smoothed = 0;
  /** What the mean of the losses has taken in: 1 − 0.9ⁿ. */
  private weight = 0;
  private speed: number | undefined;
  private evaluation: number | undefined;
  private last: StepEvent | undefined;

  constructor(private readonly options: ShownSteps) {}

  step(event: StepEvent): void {
    this.last = event;
    this.smoothed = 0.9 * this.smoothed + 0.1 * event.loss;
    this.weight = 0.9 * this.weight + 0.1;
    const { tokensPerSecond } = event;
    // Those of one step alone jump.
    if (Number.isFinite(tokensPerSecond) && tokensPerSecond > 0)
      this.speed = this.speed === undefined ? tokensPerSecond : 0.8 * this.speed + 0.2 * tokensPerSecond;
  }

  evaluated({ loss }: EvaluatedEvent): void {
    this.evaluation = loss;
  }

  get state(): TrainingState {
    const { steps, from = 0 } = this.options;
    const step = this.last?.step ?? from;
    const seconds = (performance.now() - this.begun) / 1000;
    return {
      step,
      steps,
      loss: this.weight === 0 ? undefined : this.smoothed / this.weight,
      tokensPerSecond: this.speed,
      memory: this.last?.memoryBytes,
      secondsLeft: step > from ? (seconds / (step - from)) * (steps - step) : undefined,
      evaluation: this.evaluation,
    };
  }
}

class DrawnProgress implements Progress {
  private readonly meter: StepMeter;
  private drawnAt = -Infinity;
  private isOver = false;
  private readonly colour = wantsColour(process.env);

  constructor(
    private readonly speaker: Speaker,
    options: ShownSteps,
  ) {
    this.meter = new StepMeter(options);
    this.draw();
  }

  step(event: StepEvent): void {
    this.meter.step(event);
    const { step, steps } = this.meter.state;
    if (step === steps || performance.now() - this.drawnAt >= pauseOfDrawing) this.draw();
  }

  evaluated(event: EvaluatedEvent): void {
    this.meter.evaluated(event);
    this.draw();
  }

  above(say: () => void): void {
    if (!this.isOver) this.speaker.io.stderr('\r\u001b[K');
    say();
    this.draw();
  }

  stop(): void {
    if (this.isOver) return;
    this.draw();
    this.isOver = true;
    this.speaker.io.stderr('\n');
  }

  private draw(): void {
    if (this.isOver) return;
    this.drawnAt = performance.now();
    const { io } = this.speaker;
    const line = trainingLine(this.meter.state, { colour: this.colour, columns: io.columns ?? 80 });
    io.stderr(`\r${line}\u001b[K`);
  }
}

class SpokenProgress implements Progress {
  private readonly meter: StepMeter;
  private last = performance.now();

  constructor(
    private readonly speaker: Speaker,
    private readonly options: ShownSteps,
  ) {
    this.meter = new StepMeter(options);
  }

  step(event: StepEvent): void {
    this.meter.step(event);
    const { steps, from = 0 } = this.options;
    const now = performance.now();
    const isEnd = event.step === from + 1 || event.step === steps;
    if (!isEnd && now - this.last < secondsBetweenLines * 1000) return;
    this.last = now;
    const { tokensPerSecond = 0, secondsLeft = 0 } = this.meter.state;
    const left = event.step === steps ? '' : `, ${duration(secondsLeft * 1000)} left`;
    this.speaker.say(
      `step ${event.step}/${steps}: loss ${event.loss.toFixed(4)}, gradient norm ` +
        `${event.gradNorm.toPrecision(3)}, ${rate(tokensPerSecond)} tokens/s${left}`,
    );
  }

  evaluated(event: EvaluatedEvent): void {
    this.meter.evaluated(event);
    const measured = Object.entries(event.measures)
      .map(([name, value]) => `, ${name} ${value.toFixed(4)}`)
      .join('');
    this.speaker.say(
      `step ${event.step}: evaluation loss ${event.loss.toFixed(4)}${measured}` +
        (event.isBest ? ', the best yet' : ''),
    );
  }

  above(say: () => void): void {
    say();
  }

  stop(): void {}
}

/**
 * Shows downloads and loading: a line that is redrawn on a terminal, else one every few seconds; nothing for what
 * ends at once.
 */
export function transferReporter(speaker: Speaker): (event: LoadProgress) => void {
  const begun = performance.now();
  let last = begun;
  let drawn = false;
  return (event) => {
    const now = performance.now();
    const isDone = event.bytes >= event.totalBytes;
    const pause = speaker.io.isTTY ? 200 : secondsBetweenLines * 1000;
    // Less than a second is not worth reporting; what was reported is also reported as done.
    if (isDone ? !drawn : now - begun < 1000 || (drawn && now - last < pause)) return;
    last = now;
    drawn = !isDone;
    const text = transferLine(event);
    if (speaker.io.isTTY) speaker.io.stderr(`\r\u001b[K${text}${isDone ? '\n' : ''}`);
    else speaker.say(text);
  };
}

/** Tells how much of something is done, every few seconds. */
export function countReporter(speaker: Speaker, what: string): (done: number, of: number) => void {
  let last = performance.now();
  return (done, of) => {
    const now = performance.now();
    if (now - last < secondsBetweenLines * 1000) return;
    last = now;
    speaker.say(`${done} of ${of} ${what}`);
  };
}

/** downloading model.safetensors: 1.2 of 2.4 GB (50%), 84 MB/s, 14 s left */
export function transferLine({ stage, item, bytes, totalBytes, bytesPerSecond, secondsLeft }: LoadProgress): string {
  const unit = totalBytes >= 1e9 ? { name: 'GB', size: 1e9, digits: 2 } : { name: 'MB', size: 1e6, digits: 1 };
  const share = totalBytes === 0 ? 100 : Math.floor((bytes / totalBytes) * 100);
  const left = secondsLeft === undefined || secondsLeft === 0 ? '' : `, ${duration(secondsLeft * 1000)} left`;
  const speed = bytesPerSecond === 0 ? '' : `, ${(bytesPerSecond / 1e6).toFixed(1)} MB/s`;
  return (
    `${stage} ${item}: ${(bytes / unit.size).toFixed(unit.digits)} of ` +
    `${(totalBytes / unit.size).toFixed(unit.digits)} ${unit.name} (${share}%)${speed}${left}`
  );
}
