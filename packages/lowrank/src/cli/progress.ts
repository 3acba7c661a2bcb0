import type { StepEvent } from '@lowrank/trainer';
import type { Speaker } from './io.js';

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
    { format: 'training {bar} {value}/{total} | loss {loss} | {speed} tokens/s | {left} left', stream: process.stderr, hideCursor: true, clearOnComplete: false, gracefulExit: false },
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
      speaker.say(`step ${event.step}/${steps}: loss ${event.loss.toFixed(4)}, gradient norm ${event.gradNorm.toPrecision(3)}, ${speed} tokens/s`);
    },
    stop: () => undefined,
  };
}

/** Tokens per second over the last steps: those of one step alone jump. */
class Meter {
  private value: number | undefined;

  speed({ tokensPerSecond }: StepEvent): string {
    if (Number.isFinite(tokensPerSecond)) this.value = this.value === undefined ? tokensPerSecond : 0.8 * this.value + 0.2 * tokensPerSecond;
    return Math.round(this.value ?? 0).toLocaleString('en');
  }
}

export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
