import type { LoraInit } from '../loraInit.js';
import type { Init } from '../init.js';
import { gaussian } from './gaussian.js';
import { kaiming } from './kaiming.js';
import { olora } from './olora.js';
import { orthogonal } from './orthogonal.js';
import { pissa } from './pissa.js';

const inits: Readonly<Partial<Record<LoraInit, Init>>> = { kaiming, gaussian, orthogonal, olora, pissa: pissa() };

/** @throws TypeError for 'loftq' and 'eva', which begin from what quantization lost and from data */
export function initOf(name: LoraInit): Init {
  const init = name.startsWith('pissa_niter_') ? pissa(Number(name.slice('pissa_niter_'.length))) : inits[name];
  if (init === undefined) throw new TypeError(`${name} is not an initialization of its own`);
  return init;
}
