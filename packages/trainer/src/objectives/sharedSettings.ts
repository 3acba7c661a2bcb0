import { number, setting } from '@lowrank/settings';

/** β of the preference losses. */
export const betaSetting = setting({
  schema: number({ above: 0 }),
  help: 'how strongly rewards count: of DPO and KTO the pull towards the reference, of ORPO the weight λ of the odds',
  see: './preferences',
  value: 'x',
  otherwise: '0.1; with simpo 2',
});

/** ε of the preference losses. */
export const smoothingSetting = setting({
  schema: number({ min: 0, below: 0.5 }),
  default: 0,
  help: 'share of the pairs that may be the wrong way round',
  see: './preferences#label-smoothing',
  value: 'x',
});
