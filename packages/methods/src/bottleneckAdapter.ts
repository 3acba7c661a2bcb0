import { LowrankError } from '@lowrank/errors';
import type { LinearLike } from '@lowrank/nn';
import { isLinearLike } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { persistent } from '@lowrank/tensor';
import { BottleneckLayer } from './bottleneckLayer.js';
import type { AppliedMethod, Method, MethodAdapter, MethodModel } from './method.js';
import { badConfig, newConfig, targetsIn, wholeNumber } from './methodConfig.js';
import type { Placed } from './appliedMethod.js';
import { appliedMethod, methodTargets, restoreHead, withoutHead } from './appliedMethod.js';
import { normalTensor } from './normalTensor.js';
import { targetsGiven } from './targetsGiven.js';
import { followed } from '@lowrank/settings';
import { peftFiles } from './peftFiles.js';
import { refuseMerge, refuseOutput, refuseTaken } from './refusals.js';
import { mismatch, storedTensor } from './storedTensor.js';
import { bottleneckSettings, defaultBottleneck } from './bottleneckSettings.js';

const prefix = 'base_model.model.';
/** Of D's numbers; U begins as zero, so that the model begins as it was. */
const deviation = 0.02;

const about = {
  title: 'bottleneck adapters',
  peftTypes: ['HOULSBY_ADAPTER'],
  inPeft: [],
  settings: [bottleneckSettings],
  peftKeys: {
    activation: followed('gelu; any other is refused'),
    bottleneck_size: followed('the width of the bottleneck'),
    target_modules: followed('the layers that have one'),
  },
} as const;

/**
 * Bottleneck adapters (Houlsby et al. 2019; "Adapter^H" in Hu et al. 2021): h + U·gelu(D·h + b_d) + b_u after the
 * output projection of each attention and of each MLP, before the residual sum. Norms stay frozen. D begins as small
 * normal numbers, U and the biases as zero. PEFT has no such method: `peft_type` is HOULSBY_ADAPTER, which it refuses.
 */
export const bottleneckAdapter: Method<readonly [typeof bottleneckSettings], MethodAdapter> = {
  ...about,
  name: 'adapter',
  saves: 'adapter',
  overCodes: true,
  resumes: true,
  learningRates: [3e-4, 1e-3, 3e-3],
  ...peftFiles(about),
  merge: refuseMerge(about.title),

  async inject(model, settings = {}) {
    const { bottleneck = defaultBottleneck, seed } = settings;
    checkBottleneck(bottleneck);
    refuse(model);
    const targetModules = targetsGiven(settings.targetModules ?? model.residualWriters);
    const layers = linear(methodTargets(model, targetModules));
    const config = newConfig(
      { activation: 'gelu', bottleneck_size: bottleneck, peft_type: 'HOULSBY_ADAPTER', target_modules: targetModules },
      settings,
      model,
    );
    return place(model, config, layers, (name, shape) =>
      name.endsWith('adapter_down.weight')
        ? normalTensor(shape, name, { seed, deviation })
        : persistent(shape, { name }),
    );
  },

  async attach(model, adapter) {
    const { config, tensors } = withoutHead(model, adapter);
    checkBottleneck(wholeNumber(config, 'bottleneck_size'));
    if (config['activation'] !== 'gelu') badConfig('activation', '"gelu"', config['activation']);
    refuse(model);
    restoreHead(model, adapter);
    const layers = linear(methodTargets(model, targetsIn(config)));
    const wanted = new Set([...layers.keys()].flatMap((path) => partNames.map((part) => `${prefix}${path}.${part}`)));
    for (const key of tensors.keys())
      if (!wanted.has(key))
        throw mismatch(key, 'tensors of the layers that target_modules names', 'one of another layer');
    return place(model, config, layers, (name, shape) => storedTensor(adapter, name, shape));
  },
};

const partNames = ['adapter_down.weight', 'adapter_down.bias', 'adapter_up.weight', 'adapter_up.bias'] as const;

function checkBottleneck(size: number): void {
  if (!Number.isInteger(size) || size < 1)
    throw new LowrankError({
      code: 'methods.bottleneck',
      what: 'the width of the bottleneck',
      expected: 'a whole number of at least 1',
      got: String(size),
    });
}

function refuse(model: MethodModel): void {
  refuseTaken(model, 'bottleneck adapters');
}

function linear(matched: ReturnType<typeof methodTargets>): Map<string, LinearLike> {
  return new Map(
    [...matched].map(([path, layer]): [string, LinearLike] => {
      if (!isLinearLike(layer))
        throw new LowrankError({
          code: 'methods.notLinear',
          what: `bottleneck adapters at ${path}`,
          expected: 'a linear layer',
          got: 'an embedding',
          remedy: 'Leave it out of the target modules.',
        });
      return [path, layer];
    }),
  );
}

function place(
  model: MethodModel,
  config: MethodAdapter['config'],
  layers: ReadonlyMap<string, LinearLike>,
  make: (name: string, shape: readonly number[]) => Tensor,
): AppliedMethod<MethodAdapter> {
  refuseOutput(model, layers, 'bottleneck adapters');
  const size = wholeNumber(config, 'bottleneck_size');
  const made = [...layers].map(([path, base]) => {
    const width = base.outFeatures;
    const at = (part: (typeof partNames)[number], shape: readonly number[]): Tensor =>
      make(`${prefix}${path}.${part}`, shape);
    return {
      path,
      layer: new BottleneckLayer(base, {
        down: at('adapter_down.weight', [size, width]),
        downBias: at('adapter_down.bias', [size]),
        up: at('adapter_up.weight', [width, size]),
        upBias: at('adapter_up.bias', [width]),
      }),
    };
  });
  for (const { path, layer } of made) model.setModule(path, layer);
  const placed = made.map(({ path, layer }): Placed => ({ path, base: layer.base }));
  const parameters = new Map(
    made.flatMap(({ path, layer }) =>
      [...layer.weights].map(([part, parameter]) => [`${prefix}${path}.${part}`, parameter] as const),
    ),
  );
  return appliedMethod({ model, config, placed, parameters });
}
