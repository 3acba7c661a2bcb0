import { loadModel } from '../front/loadModel.js';
import { coalesced } from './backPressure.js';
import { Channel } from './channel.js';
import { given } from './given.js';
import { modelCalls, taskedCalls } from './modelCalls.js';
import type { Offered } from './offered.js';
import type { Port } from './port.js';
import type { RemoteLoadOptions } from './remote.js';

/** Offers the front door to the other end of a port. */
export function serve(port: Port): void {
  const offered: Offered = {
    loadModel: (source, options) =>
      whileTold(options, async (told) => modelCalls(await loadModel(source, { ...options, ...told }))),
    loadTaskedModel: (source, options) =>
      whileTold(options, async (told) => taskedCalls(await loadModel(source, { ...options, ...told }))),
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

type Listeners = Pick<RemoteLoadOptions, 'onProgress' | 'onWarning'>;

/** Loads while the page is told how far it is; only the latest progress waits. */
async function whileTold<T>(
  { onProgress, onWarning }: Listeners,
  load: (listeners: Listeners) => Promise<T>,
): Promise<T> {
  const progress = coalesced(onProgress, (_, latest) => latest);
  const told: unknown[] = [];
  const model = await load({
    onProgress: onProgress && progress.send,
    onWarning: onWarning && ((text) => void told.push(onWarning(text))),
  });
  await Promise.all([progress.settle(), ...told]);
  return model;
}
