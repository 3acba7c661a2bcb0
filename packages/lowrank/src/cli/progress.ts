import { Writable } from 'node:stream';
import type { StepEvent } from '@lowrank/trainer';
import type { LoadProgress } from '../front/loadingReporter.js';
import type { Io, Speaker } from './io.js';

/** Shows steps while they happen: a bar on a terminal, else a line every few seconds. */
export interface Progress {
  step(event: StepEvent): void;
  stop(): void;
}

/** Between lines where there is no terminal. */
const secondsBetweenLines = 5;

export async function startProgress(speaker: Speaker, steps: number): Promise<Progress> {
  return speaker.io.isTTY ? bar(speaker, steps) : lines(speaker, steps);
}

async function bar({ io }: Speaker, steps: number): Promise<Progress> {
  const { default: progress } = await import('cli-progress');
  const start = performance.now();
  const drawn = new progress.SingleBar(
    {
      format: 'training {bar} {value}/{total} | loss {loss} | {speed} tokens/s | {left} left',
      stream: terminalOf(io),
      hideCursor: true,
      clearOnComplete: false,
      gracefulExit: false,
    },
    progress.Presets.shades_classic,
  );
  drawn.start(steps, 0, { loss: '-', speed: '-', left: '-' });
  const meter = new Meter();
  return {
    step(event) {
      const left = ((performance.now() - start) / event.step) * (steps - event.step);
      drawn.update(event.step, { loss: event.loss.toFixed(4), speed: meter.speed(event), left: duration(left) });
    },
    stop() {
      drawn.stop();
      io.stderr('');
    },
  };
}

/** What the bar draws on: the terminal, which may be another thread's. */
function terminalOf(io: Io): NodeJS.WritableStream {
  const stream = new Writable({
    decodeStrings: false,
    write(text: string, _encoding, done) {
      io.stderr(text);
      done();
    },
  });
  return Object.defineProperties(stream, { isTTY: { value: io.isTTY }, columns: { get: () => io.columns } });
}

function lines(speaker: Speaker, steps: number): Progress {
  const meter = new Meter();
  let last = performance.now();
  return {
    step(event) {
      const speed = meter.speed(event);
      const now = performance.now();
      const isLast = event.step === steps;
      if (event.step !== 1 && !isLast && now - last < secondsBetweenLines * 1000) return;
      last = now;
      speaker.say(
        `step ${event.step}/${steps}: loss ${event.loss.toFixed(4)}, gradient norm ` +
          `${event.gradNorm.toPrecision(3)}, ${speed} tokens/s`,
      );
    },
    stop: () => undefined,
  };
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
  return (
    `${stage} ${item}: ${(bytes / unit.size).toFixed(unit.digits)} of ` +
    `${(totalBytes / unit.size).toFixed(unit.digits)} ${unit.name} (${share}%), ` +
    `${(bytesPerSecond / 1e6).toFixed(1)} MB/s${left}`
  );
}

/** Tokens per second over the last steps: those of one step alone jump. */
class Meter {
  private value: number | undefined;

  speed({ tokensPerSecond }: StepEvent): string {
    if (Number.isFinite(tokensPerSecond))
      this.value = this.value === undefined ? tokensPerSecond : 0.8 * this.value + 0.2 * tokensPerSecond;
    return Math.round(this.value ?? 0).toLocaleString('en');
  }
}

export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
