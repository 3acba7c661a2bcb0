import type { Init } from './init.js';
import { inits } from './inits/index.js';
import { pissaIn } from './inits/pissa.js';
import type { LoraInit } from './loraInit.js';
import { beginsOutside } from './loraInit.js';

/** @throws TypeError for 'loftq' and 'eva', which begin from what quantization lost and from data */
export function initOf(name: LoraInit): Init {
  const [, iterations] = /^pissa_niter_(\d+)$/.exec(name) ?? [];
  if (iterations !== undefined) return pissaIn(Number(iterations));
  const init = Object.hasOwn(inits, name) ? inits[name] : undefined;
  if (init === undefined) throw new TypeError(`${name} is not an initialization of its own`);
  return init;
}

/** Whether A and B begin as a part of W that must be subtracted again. */
export function takesFromBase(name: LoraInit): boolean {
  if (beginsOutside(name)) return false;
  const init = initOf(name);
  return 'from' in init && init.keepsBase !== true;
}

/** The half of the adapters that is not trained; undefined where both are. */
export function frozenHalf(name: LoraInit): 'a' | 'b' | undefined {
  if (beginsOutside(name)) return undefined;
  const init = initOf(name);
  return 'from' in init ? init.frozen : undefined;
}
