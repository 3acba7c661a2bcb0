import type { AdapterFiles } from './session';
import type { SpectrumAnswer } from './spectrumWorker';

export type LayerSpectrum = Extract<SpectrumAnswer, { layers: unknown }>['layers'][number];

/** The singular values of what an adapter adds to each layer, found in a worker of its own. @throws Error a sentence */
export function spectrumOf(files: AdapterFiles): Promise<readonly LayerSpectrum[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./spectrumWorker.ts', import.meta.url), { type: 'module' });
    worker.onmessage = ({ data }: MessageEvent<SpectrumAnswer>) => {
      worker.terminate();
      if ('problem' in data) reject(new Error(data.problem));
      else resolve(data.layers);
    };
    worker.onerror = ({ message }) => {
      worker.terminate();
      reject(new Error(message));
    };
    worker.postMessage({ ...files });
  });
}
