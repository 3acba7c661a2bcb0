import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { StepEvent } from '@lowrank/trainer';

/** A line of metrics.jsonl. */
export interface Metrics {
  readonly step: number;
  readonly loss: number;
  /** Before clipping. */
  readonly grad_norm: number;
  readonly learning_rate: number;
  /** Tokens of the step, prompts included and padding not. */
  readonly tokens: number;
  readonly tokens_per_second: number;
  /** What the loss measures beside itself: `margin` and `accuracy` of a preference loss. */
  readonly [measure: string]: number;
}

export function metricsOf(event: StepEvent): Metrics {
  const { step, loss, gradNorm, learningRate, tokens, tokensPerSecond, measures } = event;
  return {
    step,
    loss,
    ...measures,
    grad_norm: gradNorm,
    learning_rate: learningRate,
    tokens,
    tokens_per_second: tokensPerSecond,
  };
}

/**
 * metrics.jsonl of an output folder. During training it grows line by line as `metrics.partial.jsonl`, so that it
 * can be followed; it gets its name when the run is saved: a metrics.jsonl always belongs to the adapter in its folder.
 */
export interface MetricsFile {
  write(metrics: Metrics): Promise<void>;
  /** Gives the file its name. */
  finish(): Promise<void>;
  /** Removes it, if it is not finished. */
  discard(): Promise<void>;
}

export async function openMetricsFile(folder: string): Promise<MetricsFile> {
  const [partial, final] = [join(folder, 'metrics.partial.jsonl'), join(folder, 'metrics.jsonl')];
  const file = await open(partial, 'w');
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (isOpen) await file.close();
    isOpen = false;
  };
  return {
    write: async (metrics) => {
      await file.appendFile(`${JSON.stringify(metrics)}\n`);
    },
    async finish() {
      await file.sync();
      await close();
      await rename(partial, final);
    },
    async discard() {
      await close();
      await rm(partial, { force: true });
    },
  };
}

/**
 * The same file, whose failures cost nothing: what cannot be written down (a full disk) is no reason to lose what is
 * being learned. `warn` receives the first one, as a sentence, and nothing is written from then on.
 */
export function forgiving(file: MetricsFile, warn: (text: string) => void | Promise<void>): MetricsFile {
  let failed = false;
  const attempt = async (action: () => Promise<void>): Promise<void> => {
    if (failed) return;
    try {
      await action();
    } catch (error) {
      failed = true;
      const reason = error instanceof Error ? error.message : String(error);
      await warn(`metrics.jsonl cannot be written (${reason}); the run goes on without it`);
    }
  };
  return {
    write: (metrics) => attempt(() => file.write(metrics)),
    finish: () => attempt(() => file.finish()),
    discard: () => file.discard(),
  };
}
