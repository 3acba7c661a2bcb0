import type { Layer, LinearLike, Module } from '@lowrank/nn';
import { Conv1d, isLinearLike, LayerNorm, Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { persistent } from '@lowrank/tensor';
import { BiasShift } from './biasShift.js';
import type { AppliedMethod, Method, MethodAdapter, MethodModel } from './method.js';
import { newConfig, refuseSaved, targetsIn } from './methodConfig.js';
import type { Placed } from './appliedMethod.js';
import { appliedMethod, isInHead, methodTargets, restoreHead, withHead, withoutHead } from './appliedMethod.js';
import { eachKey, followed, ignored } from '@lowrank/settings';
import { peftFiles } from './peftFiles.js';
import { refuseOutput, refuseTaken } from './refusals.js';
import { mismatch, storedTensor } from './storedTensor.js';
import { bitfitSettings } from './bitfitSettings.js';
import { mergeBiases } from './mergeBiases.js';
import { targetsGiven } from './targetsGiven.js';

/** What has a bias to be trained, or to be given. */
type Biased = LinearLike | LayerNorm;

const prefix = 'base_model.model.';

const about = {
  title: 'BitFit',
  peftTypes: ['BEFT', 'BITFIT'],
  inPeft: ['BEFT'],
  settings: [bitfitSettings],
  peftKeys: {
    target_modules: followed('a record: the tensors say which layers have a bias'),
    fan_in_fan_out: ignored('a bias lies one way'),
    init_weights: ignored('how the biases began'),
    ...eachKey(['exclude_modules', 'layers_to_transform', 'layers_pattern'], ignored('the tensors say which layers')),
  },
} as const;

/**
 * BitFit (Ben Zaken et al. 2021): only biases are trained, y = W·x + b₀ + b with b starting at zero. A model without
 * biases (Llama) gets them: on every linear layer but the output projection.
 *
 * Files are those of PEFT's BEFT wherever BEFT can hold them, which is linear layers alone: `<path>.beft_bias` [1,
 * out], added to what the layer gives. Where LayerNorms and GPT-2's Conv1D are among the layers `peft_type` is BITFIT
 * instead, with `<path>.bias_shift`, which PEFT refuses.
 */
export const bitfit: Method<readonly [typeof bitfitSettings], MethodAdapter> = {
  ...about,
  name: 'bitfit',
  saves: 'adapter',
  overCodes: true,
  resumes: true,
  learningRates: [1e-3, 3e-3, 1e-2],
  ...peftFiles(about),
  async merge(adapter, base) {
    // What does not fit is an error before a byte is written.
    (await bitfit.attach(base.outline(), adapter)).remove();
    const outline = base.outline();
    return withHead(await mergeBiases(withoutHead(outline, adapter), base), adapter, outline);
  },

  async inject(model, settings = {}) {
    refuse(model);
    const layers =
      settings.targetModules === undefined ? ownBiases(model) : named(model, targetsGiven(settings.targetModules));
    const inPeft = ![...layers.values()].some((layer) => layer instanceof LayerNorm || layer instanceof Conv1d);
    const own = inPeft ? { init_weights: true, peft_type: 'BEFT' } : { peft_type: 'BITFIT' };
    const config = newConfig({ ...own, target_modules: shortNames(model, [...layers.keys()]) }, settings, model);
    return place(model, config, layers, (name, shape) => persistent(shape, { name }));
  },

  async attach(model, adapter) {
    const { config, tensors } = withoutHead(model, adapter);
    targetsIn(config);
    refuseSaved(config, model);
    refuse(model);
    restoreHead(model, adapter);
    const end = suffixOf(config);
    const modules = new Map(model.namedModules());
    const layers = new Map<string, Biased>();
    for (const key of tensors.keys()) {
      const path = key.startsWith(prefix) && key.endsWith(end) ? key.slice(prefix.length, -end.length) : '';
      const layer = modules.get(path);
      if (layer === undefined || !isBiased(layer) || path === model.outputPath)
        throw mismatch(
          key,
          `${prefix}<path>${end} of the model's layers`,
          layer === undefined ? 'no such layer' : 'a layer that takes no bias',
        );
      layers.set(path, layer);
    }
    if (layers.size === 0) throw mismatch('the content', 'biases', 'no tensors');
    return place(model, config, layers, (name, shape) => storedTensor(adapter, name, shape));
  },
};

/** Also what a file's keys end in: PEFT's for what PEFT loads. */
function suffixOf(config: MethodAdapter['config']): string {
  return config['peft_type'] === 'BEFT' ? '.beft_bias' : '.bias_shift';
}

function refuse(model: MethodModel): void {
  refuseTaken(model, 'BitFit');
}

function isBiased(module: Module): module is Biased {
  return module instanceof LayerNorm || isLinearLike(module);
}

function hasBias(layer: Biased): boolean {
  return 'bias' in layer && layer.bias instanceof Parameter;
}

function ownBiases(model: MethodModel): Map<string, Biased> {
  const all = [...model.namedModules()].flatMap(([path, module]): [string, Biased][] =>
    isBiased(module) && path !== model.outputPath && !isInHead(model, path) ? [[path, module]] : [],
  );
  const biased = all.filter(([, layer]) => hasBias(layer));
  return new Map(biased.length > 0 ? biased : all);
}

function named(model: MethodModel, targetModules: readonly string[] | string): Map<string, Biased> {
  const matched = methodTargets(model, targetModules);
  return new Map([...matched].flatMap(([path, layer]): [string, Biased][] => (isBiased(layer) ? [[path, layer]] : [])));
}

/** The last names of paths where they mean these layers alone, as people write them; else the paths. */
export function shortNames(model: MethodModel, paths: readonly string[]): readonly string[] {
  const names = [...new Set(paths.map((path) => path.slice(path.lastIndexOf('.') + 1)))].sort();
  const meant = [...model.namedModules()].filter(([path]) => names.includes(path.slice(path.lastIndexOf('.') + 1)));
  return meant.length === paths.length ? names : [...paths].sort();
}

function place(
  model: MethodModel,
  config: MethodAdapter['config'],
  layers: ReadonlyMap<string, Biased>,
  make: (name: string, shape: readonly number[]) => Tensor,
): AppliedMethod<MethodAdapter> {
  refuseOutput(model, layers, 'BitFit');
  const inPeft = config['peft_type'] === 'BEFT';
  const made = [...layers].map(([path, layer]) => {
    const size = outOf(layer);
    const name = `${prefix}${path}${suffixOf(config)}`;
    return {
      path,
      name,
      shift: new BiasShift(
        layer,
        make(name, inPeft ? [1, size] : [size]),
        'inFeatures' in layer ? layer.inFeatures : size,
      ),
    };
  });
  const placed = made.map(({ path, shift }): Placed => ({ path, base: shift.base }));
  for (const { path, shift } of made) model.setModule(path, shift);
  return appliedMethod({
    model,
    config,
    placed,
    parameters: new Map(made.map(({ name, shift }) => [name, shift.shift])),
  });
}

function outOf(layer: Layer): number {
  return layer instanceof LayerNorm ? layer.weight.tensor.size : isLinearLike(layer) ? layer.outFeatures : 0;
}
