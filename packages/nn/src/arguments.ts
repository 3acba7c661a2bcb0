import { Rng } from '@lowrank/tensor';
import type { ArgumentKind } from '@lowrank/tensor/op';
import { aTensor, kind } from '@lowrank/tensor/op';
import { Parameter } from './parameter.js';

/** The kinds of arguments that layers take, besides those of `@lowrank/tensor/op`. */
export const aSize: ArgumentKind = /* @__PURE__ */ kind(
  'a whole number of at least 1',
  (value) => Number.isInteger(value) && (value as number) >= 1,
);
export const anRng: ArgumentKind = /* @__PURE__ */ kind('an Rng, as new Rng(seed)', (value) => value instanceof Rng);
export const aWeight: ArgumentKind = /* @__PURE__ */ kind(
  'a Tensor or a Parameter, or sizes',
  (value) => aTensor.accepts(value) || value instanceof Parameter,
);
