import type { LoadOptions, TransferProgress } from '@lowrank/models';
import { TransferMeter } from '@lowrank/models';

/** How far a download or the reading of weights is. */
export interface LoadProgress extends TransferProgress {
  readonly stage: 'downloading' | 'loading';
}

/** Turns the bytes that models counts while it loads into progress with a rate and the time that is left. */
export function loadingReporter(
  onProgress: ((event: LoadProgress) => void) | undefined,
): NonNullable<LoadOptions['onProgress']> {
  // From now on: what comes first took time to be read.
  const meter = new TransferMeter({ totalBytes: 0 });
  let [done, total] = [0, 0];
  return ({ bytes, totalBytes, tensor }) => {
    meter.grow(totalBytes - total);
    total = totalBytes;
    onProgress?.({ stage: 'loading', ...meter.add(tensor, bytes - done) });
    done = bytes;
  };
}
