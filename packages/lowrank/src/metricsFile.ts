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
}

export function metricsOf({ step, loss, gradNorm, learningRate, tokens, tokensPerSecond }: StepEvent): Metrics {
  return { step, loss, grad_norm: gradNorm, learning_rate: learningRate, tokens, tokens_per_second: tokensPerSecond };
}

/**
 * metrics.jsonl of an output folder. During training it grows line by line as `metrics.partial.jsonl`, so that it
 * can be followed; it gets its name when the run is saved: a metrics.jsonl always belongs to the adapter in its folder.
 */
export interface MetricsFile {
  write(metrics: Metrics): Promise<void>;
  /** Gives the file its name. */
  finish(): Promise<string>;
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
      return final;
    },
    async discard() {
      await close();
      await rm(partial, { force: true });
    },
  };
}
