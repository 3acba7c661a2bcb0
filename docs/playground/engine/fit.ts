import type { ModelSource } from 'lowrank';
import type { Fit } from 'lowrank/storage';
import { bytesText, millionsText } from '../state/format';
import { guardFor } from '../state/guard';
import type { Settings } from '../state/settings';
import { startEngine } from './engine';

/** What a model and a run with it would cost here, before anything large is downloaded. @throws what checkFit throws */
export async function fitOf(source: ModelSource, settings: Settings): Promise<Fit> {
  const { model, device, quantization, rank, batchSize, maxLength } = settings;
  // The worker may talk to the model's host: the page may not.
  await guardFor(model);
  const engine = await startEngine();
  try {
    const run = { device, r: rank, batchSize, maxLength, targetModules: 'all-linear' as const };
    return await engine.checkFit(source, { ...run, quantization: quantization === 'none' ? undefined : quantization });
  } finally {
    engine.dispose();
  }
}

/** As a sentence. */
export function fitText({ parameters, downloadBytes, peakBytes, memoryBytes, fits }: Fit): string {
  const download = downloadBytes === 0 ? 'nothing to download' : `${bytesText(downloadBytes)} to fetch`;
  const room = memoryBytes === undefined ? '' : ` of ${bytesText(memoryBytes)}`;
  return (
    `${fits ? 'It fits' : 'It does not fit'}: ${millionsText(parameters)} parameters, ${download}, ` +
    `${bytesText(peakBytes)}${room} of memory while it trains.`
  );
}
