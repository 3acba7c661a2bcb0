import { checkFit } from 'lowrank/storage';
import type { Fit } from 'lowrank/storage';
import type { ModelSource } from 'lowrank';
import type { Settings } from '../state/settings';

export interface FitQuestion {
  readonly source: ModelSource;
  readonly settings: Settings;
}

export type FitAnswer =
  | Pick<Fit, 'parameters' | 'downloadBytes' | 'freeBytes' | 'peakBytes' | 'memoryBytes' | 'fits' | 'problems'>
  | { readonly problem: string };

/** The part of a worker's scope that is used here; the page's own types know only windows. */
interface Scope {
  postMessage(message: FitAnswer): void;
  onmessage: ((event: { readonly data: FitQuestion }) => void) | null;
}

const scope = globalThis as unknown as Scope;

// In a worker, which may talk to the model's host: the page may not.
scope.onmessage = ({ data: { source, settings } }) => {
  const { device, quantization, rank, batchSize, maxLength } = settings;
  const run = { device, r: rank, batchSize, maxLength, targetModules: 'all-linear' as const };
  checkFit(source, { ...run, quantization: quantization === 'none' ? undefined : quantization }).then(
    ({ parameters, downloadBytes, freeBytes, peakBytes, memoryBytes, fits, problems }) =>
      scope.postMessage({ parameters, downloadBytes, freeBytes, peakBytes, memoryBytes, fits, problems }),
    (error: unknown) => scope.postMessage({ problem: error instanceof Error ? error.message : String(error) }),
  );
};
