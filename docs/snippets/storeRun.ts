import { fineTune, loadModel } from 'lowrank';
import type { Run } from 'lowrank';
import { checkFit, openStorage } from 'lowrank/storage';

/** Trains in a worker of a page; called again after a reload or a crash, it goes on from the last checkpoint. */
export async function trainInTab(source: string, rows: readonly object[], say: (text: string) => void): Promise<Run> {
  const quantization = 'nf4';
  const fit = await checkFit(source, { quantization, r: 8, batchSize: 4, maxLength: 128, checkpointing: true });
  for (const { code, text, remedy } of fit.problems) say(`${code}: ${text} ${remedy}`);
  if (!fit.fits) throw new Error(`${fit.model} does not fit`);

  const storage = await openStorage();
  if (!(await storage.persist())) say('The browser may remove what is stored here when the disk is full.');
  const { source: stored } = await storage.keepModel(source, {
    onProgress: ({ bytes, totalBytes }) => say(`${bytes} of ${totalBytes} bytes`),
  });
  const model = await loadModel(stored, { quantization });
  return fineTune(model, {
    data: rows,
    r: 8,
    batchSize: 4,
    maxLength: 128,
    checkpointing: true,
    steps: 200,
    output: storage.runFolder('first'),
    saveEvery: 20,
    keepLast: 2,
  });
}
