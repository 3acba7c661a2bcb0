import { picked } from './files.js';
import { main } from './main.js';

/** @type {Promise<unknown>} */
export const trained = picked()
  .then(async (files) => ({ inPage: await main(files) }))
  .catch((error) => ({ error: String(error?.stack ?? error) }))
  .then((result) => Object.assign(globalThis, { result }));
