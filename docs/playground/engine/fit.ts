import type { ModelSource } from 'lowrank';
import { bytesText, countText } from '../state/format';
import { guardFor } from '../state/guard';
import type { Settings } from '../state/settings';
import { plainSettings } from '../state/settings';
import { askWorker } from './askWorker';
import type { FitAnswer } from './fitWorker';

type Fit = Exclude<FitAnswer, { problem: string }>;

/** What a model and a run with it would cost here, before anything large is downloaded. @throws Error a sentence */
export async function fitOf(source: ModelSource, settings: Settings): Promise<Fit> {
  await guardFor(settings.model);
  const worker = new Worker(new URL('./fitWorker.ts', import.meta.url), { type: 'module' });
  return askWorker<FitAnswer>(worker, { source, settings: plainSettings(settings) });
}

/** As a sentence. */
export function fitText({ parameters, downloadBytes, peakBytes, memoryBytes, fits }: Fit): string {
  const download = downloadBytes === 0 ? 'nothing to download' : `${bytesText(downloadBytes)} to fetch`;
  const room = memoryBytes === undefined ? '' : ` of ${bytesText(memoryBytes)}`;
  return (
    `${fits ? 'It fits' : 'It does not fit'}: ${countText(parameters / 1e6)} million parameters, ${download}, ` +
    `${bytesText(peakBytes)}${room} of memory while it trains.`
  );
}
