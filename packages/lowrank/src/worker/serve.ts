import { loadModel } from '../front/loadModel.js';
import { coalesced } from './backPressure.js';
import { Channel } from './channel.js';
import { given } from './given.js';
import { modelCalls } from './modelCalls.js';
import type { Offered } from './offered.js';
import type { Port } from './port.js';

/** Offers the front door to the other end of a port. */
export function serve(port: Port): void {
  const offered: Offered = {
    async loadModel(source, { onProgress, onWarning, ...options }) {
      const progress = coalesced(onProgress, (_, latest) => latest);
      const told: unknown[] = [];
      const model = await loadModel(source, {
        ...options,
        onProgress: onProgress && progress.send,
        onWarning: onWarning && ((text) => void told.push(onWarning(text))),
      });
      await Promise.all([progress.settle(), ...told]);
      return modelCalls(model);
    },
    async openStorage() {
      const { openStorage } = await import('../storage/openStorage.js');
      const storage = await openStorage();
      return {
        ...storage,
        runFolder: async (id) => storage.runFolder(id),
        adapterFiles: (name) => given(storage.adapterFiles(name)),
      };
    },
    checkFit: async (...asked) => (await import('../storage/checkFit.js')).checkFit(...asked),
    holdLock: (name) =>
      new Promise((held) => {
        navigator.locks.request(name, () => (held(), new Promise(() => undefined))).catch(() => undefined);
      }),
  };
  new Channel(port).offer(offered);
}
