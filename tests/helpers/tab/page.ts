import * as files from '@lowrank/files';
import * as storage from 'lowrank/storage';

/** Resolves when the worker has loaded everything. */
function startWorker(): Promise<void> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  return new Promise((resolve, reject) => {
    worker.addEventListener('message', () => resolve(), { once: true });
    worker.addEventListener('error', ({ message }) => reject(new Error(message)));
  });
}

Object.assign(globalThis, { tab: { files, storage }, startWorker });
