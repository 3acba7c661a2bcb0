import type { Shape } from '@lowrank/tensor';
import { persistent, tensor } from '@lowrank/tensor';
import { adamw8bit as adamw8bitStep, momentBlock, momentMaps, sizeOf } from '@lowrank/tensor/op';
import { adamwDefaults, adamwNumbers, adamwRule } from './adamw.js';
import type { Optimizer, OptimizerTensor, UpdateRule } from './optimizer.js';
import { stateNamed } from './optimizer.js';

/**
 * Parameters with fewer elements keep their moments in f32, as bitsandbytes' do: they are a small part of the memory,
 * and often of more weight.
 */
export const smallest8bit = 4096;

/** Both moments in 8 bits: a code for each element, a scale of either moment for each block of 256. */
export const adamw8bitRule: UpdateRule = {
  alignment: momentBlock,
  makeState: (shape) => ({
    firstCodes: codes(shape, 'firstMoment', momentMaps().subarray(0, 256)),
    secondCodes: codes(shape, 'secondMoment', momentMaps().subarray(256)),
    momentScales: {
      tensor: persistent([Math.ceil(sizeOf(shape) / momentBlock), 2], { name: 'momentScales' }),
      span: momentBlock,
    },
  }),
  makeConstants: () => ({ maps: tensor(momentMaps(), [2, 256], { name: 'momentMaps' }) }),
  update({ parameters, gradient, state, constants: { maps }, table, scalars, clip, numbers }) {
    if (maps === undefined) throw new TypeError('moments in 8 bits without their maps');
    const [moved, firstCodes, secondCodes, momentScales] = adamw8bitStep(
      {
        parameters,
        gradient,
        firstCodes: stateNamed(state, 'firstCodes'),
        secondCodes: stateNamed(state, 'secondCodes'),
        scales: stateNamed(state, 'momentScales'),
        table,
        maps,
      },
      { ...scalars, clip },
      adamwNumbers(numbers),
    );
    if (moved === undefined || firstCodes === undefined || secondCodes === undefined || momentScales === undefined)
      throw new TypeError('adamw8bit has four outputs');
    return { parameters: moved, state: { firstCodes, secondCodes, momentScales } };
  },
};

function codes(shape: Shape, name: string, map: Float32Array): OptimizerTensor {
  return { tensor: persistent(shape, { dtype: 'u8', name }), span: 1, filler: map.indexOf(0) };
}

/** AdamW whose moments take a quarter of the memory; a step differs in the third digit. */
export const adamw8bit: Optimizer = {
  help: 'moments in 8',
  rules: [adamwRule, adamw8bitRule],
  ruleOf: ({ parameter }) => (parameter.tensor.size >= smallest8bit ? adamw8bitRule : adamwRule),
  defaults: adamwDefaults,
};
