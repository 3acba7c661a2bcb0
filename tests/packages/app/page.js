import { openStorage } from 'lowrank/storage';
import { startTrainer } from 'lowrank/worker';
import { picked } from './files.js';
import { main } from './main.js';

/** In the page, and again through a worker: from a model in the browser's storage into a run that stays there. */
async function all() {
  const files = await picked();
  const inPage = await main(files);
  const storage = await openStorage();
  const { source } = await storage.keepModel(files, { name: 'kept' });
  const trainer = await startTrainer();
  const inWorker = await main(source, { calls: trainer, output: storage.runFolder('first') });
  trainer.dispose();
  const runs = (await storage.runs()).map(({ id, status, step }) => ({ id, status, step }));
  return { inPage, inWorker, runs };
}

/** @type {Promise<unknown>} */
export const trained = all().then(
  (result) => Object.assign(globalThis, { result }),
  (error) => Object.assign(globalThis, { result: { error: String(error?.stack ?? error) } }),
);
