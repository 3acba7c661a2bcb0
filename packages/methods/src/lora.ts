import type { LoraAdapter, LoraConfig } from '@lowrank/lora';
import {
  adapterFileBytes,
  beginsInBase,
  checkLoraConfig,
  loraConfig,
  loraSettings,
  readAdapter,
  serializeAdapter,
} from '@lowrank/lora';
import type { LoraSizes, OtherSizes } from '@lowrank/lora';
import { Conv1d } from '@lowrank/nn';
import type { PlacedAdapter } from '@lowrank/patch';
import {
  adaptedLayers,
  adapterConstants,
  addAdapter,
  checkAdapter,
  copiesOf,
  fitPaths,
  loadAdapter,
  mergedTensors,
  removeAdapter,
  saveAdapter,
  tokenLayers,
  withLoraPlus,
} from '@lowrank/patch';
import { grownBase } from './grownBase.js';
import { loraRunSettings } from './loraRunSettings.js';
import type {
  AppliedMethod,
  MergeBase,
  MergedModel,
  Method,
  MethodContext,
  MethodModel,
  OptionsOfMethod,
} from './method.js';
import { targetsGiven } from './targetsGiven.js';
import { tokenIdsOf } from './tokenIds.js';
import { untie } from './untie.js';

type Tables = readonly [typeof loraSettings, typeof loraRunSettings];
type Options = OptionsOfMethod<Tables>;

/**
 * LoRA (Hu et al. 2021) and its variants, as PEFT has them; over 4-bit codes QLoRA (Dettmers et al. 2023). Layers,
 * variants and files are those of `@lowrank/lora`, which `@lowrank/patch` puts into models.
 */
export const lora: Method<Tables, LoraAdapter> = {
  name: 'lora',
  title: 'LoRA',
  peftTypes: ['LORA', 'TRAINABLE_TOKENS'],
  settings: [loraSettings, loraRunSettings],
  saves: 'adapter',
  overCodes: true,
  nameOverCodes: 'qlora',
  keepsTables: true,
  resumes: true,
  learningRates: [3e-4, 1e-3, 3e-3],

  async inject(model, options = {}, context = {}) {
    const { restored } = context;
    const config = (restored?.form as LoraConfig | undefined) ?? (await configOf(model, options, context));
    const placed = await addAdapter(model, config, {
      onWarning: context.onWarning,
      ...(options.seed === undefined ? {} : { seed: options.seed }),
      restored: restored !== undefined,
      data: config.init === 'eva' && !restored ? await context.measure?.(config) : undefined,
      loftq: config.init === 'loftq' && !restored ? await context.loftq?.() : undefined,
    });
    return applied(model, placed, options.loraPlusRatio);
  },

  async attach(model, stored, { resumed = {}, onWarning } = {}) {
    const { dropout, loraPlusRatio } = resumed as Options;
    const config = { ...stored.config, dropout: dropout ?? stored.config.dropout };
    return applied(model, await loadAdapter(model, { ...stored, config }, { onWarning }), loraPlusRatio);
  },

  async read(source, { onWarning } = {}) {
    const adapter = await readAdapter(source);
    for (const text of adapter.warnings ?? []) onWarning?.(text);
    return adapter;
  },

  write(adapter) {
    const files = serializeAdapter(adapter);
    // The configuration last, so that only complete folders look like adapters.
    return Object.fromEntries(Object.entries(files).reverse());
  },

  optionsOf: ({ config }) => ({ ...config }),
  merge,
};

/** A run's options as a configuration: those of LoRA's table, and what the model knows. */
async function configOf(model: MethodModel, options: Options, { tokenizer }: MethodContext): Promise<LoraConfig> {
  const { trainableTokens, targetModules = model.defaultTargets } = options;
  const own = Object.entries(options).filter(([name]) => Object.hasOwn(loraSettings.settings, name));
  const tokens =
    trainableTokens === undefined ? {} : { trainableTokenIndices: await tokenIdsOf(trainableTokens, tokenizer) };
  const targets = targetsGiven(targetModules);
  const saved = [...new Set([...(options.modulesToSave ?? []), ...(model.headModules ?? [])])];
  const given = loraConfig({
    taskType: model.taskType === undefined ? 'CAUSAL_LM' : (model.taskType ?? undefined),
    ...(model.autoMapping !== undefined && { autoMapping: model.autoMapping }),
    ...Object.fromEntries(own),
    ...tokens,
    ...(saved.length > 0 && { modulesToSave: saved }),
    targetModules: targets,
  });
  // Before the base is measured for EVA.
  return checkLoraConfig(given);
}

function applied(
  model: MethodModel,
  { name, config, parameters }: PlacedAdapter,
  loraPlusRatio: number | undefined,
): AppliedMethod<LoraAdapter> {
  return {
    parameters: loraPlusRatio === undefined ? parameters : withLoraPlus(parameters, loraPlusRatio),
    constants: adapterConstants(model, name),
    form: config,
    fileBytes: (dtype = 'F32') => fileBytes(model, name, dtype),
    extract: () => saveAdapter(model, { name }),
    remove: () => removeAdapter(model, name),
  };
}

function fileBytes(model: MethodModel, name: string, dtype: 'F32' | 'BF16'): number {
  const layers = new Map<string, LoraSizes>();
  for (const [path, { adapters, inFeatures, outFeatures, embedding }] of adaptedLayers(model)) {
    const weights = adapters.get(name);
    if (weights === undefined) continue;
    const { a, bias, vector, variant } = weights;
    const vectorName = vector === undefined ? undefined : variant?.vector;
    const [rank = 0] = a.tensor.shape;
    layers.set(path, { rank, inFeatures, outFeatures, embedding, hasBias: bias !== undefined, vectorName });
  }
  const copies = copiesOf(model, name).map(([path, { tensor }]): OtherSizes => ({
    name: path,
    shape: tensor.shape,
    whole: true,
  }));
  const rows = tokenLayers(model).flatMap(([path, { adapters, leader }]): OtherSizes[] => {
    const own = leader === undefined ? adapters.get(name)?.rows.tensor : undefined;
    return own === undefined ? [] : [{ name: `${path}.token_adapter.trainable_tokens_delta`, shape: own.shape }];
  });
  return adapterFileBytes(layers, dtype, [...copies, ...rows]);
}

/**
 * W + s·B·A in the dtype of W, and modules and token rows in their places; of an adapter that began as a part of W
 * (PiSSA, OLoRA) after it has become plain LoRA, for which the model is loaded.
 */
async function merge(given: LoraAdapter, own: MergeBase): Promise<MergedModel> {
  const stored = fitPaths(own.outline(), given, own.onWarning);
  const base = grownBase(own, own.outline(), stored);
  const outline = base === own ? own.outline() : own.outline(base.config);
  checkAdapter(outline, stored);
  const plain = beginsInBase(stored.config.init) ? await plainOf(stored, base) : stored;
  const { adapter, tensors, parted } = untie(outline, plain, base.tensors);
  // The model knows which way round its weights are; an adapter may have been trained over codes.
  const turned = new Set(
    [...outline.namedModules()].flatMap(([path, module]) => (module instanceof Conv1d ? path : [])),
  );
  const fanInFanOut = [...plain.layers.keys()].some((path) => turned.has(path));
  return {
    config: parted ? { ...base.config, tie_word_embeddings: false } : base.config,
    tensors: mergedTensors(tensors, { ...adapter, config: { ...plain.config, fanInFanOut } }),
    changed: plain.layers.size + changedWhole(plain),
  };
}

async function plainOf(stored: LoraAdapter, base: MergeBase): Promise<LoraAdapter> {
  const model = await base.load();
  await loadAdapter(model, stored);
  return { ...stored, ...(await saveAdapter(model)) };
}

/** Modules that the adapter has whole, or of which it has token rows. */
function changedWhole({ config, whole = new Map(), tokens = new Map() }: LoraAdapter): number {
  const saved =
    config.modulesToSave === undefined
      ? []
      : [...whole.keys()]
          .map((name) => name.slice(0, name.lastIndexOf('.')))
          .filter((path) => !path.endsWith('.base_layer'));
  return new Set([...saved, ...tokens.keys()]).size;
}
