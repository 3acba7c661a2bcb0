import { askWorker } from './askWorker';
import type { AdapterFiles } from './session';
import type { SpectrumAnswer } from './spectrumWorker';

export type LayerSpectrum = Extract<SpectrumAnswer, { layers: unknown }>['layers'][number];

/** The singular values of what an adapter adds to each layer, found in a worker of its own. @throws Error a sentence */
export async function spectrumOf(files: AdapterFiles): Promise<readonly LayerSpectrum[]> {
  const worker = new Worker(new URL('./spectrumWorker.ts', import.meta.url), { type: 'module' });
  const { layers } = await askWorker<SpectrumAnswer>(worker, { ...files });
  return layers;
}
