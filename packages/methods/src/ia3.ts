import { LowrankError } from '@lowrank/errors';
import { PathPattern } from '@lowrank/lora';
import type { LinearLike } from '@lowrank/nn';
import { Conv1d, isLinearLike, Module, Parameter } from '@lowrank/nn';
import type { CheckpointTensor } from '@lowrank/patch';
import { defineSettings, either, list, setting, text } from '@lowrank/settings';
import type { Tensor } from '@lowrank/tensor';
import { fromNumbers, mul, reshape, tensor, toFloat32 } from '@lowrank/tensor';
import { hostArray } from '@lowrank/tensor/op';
import { appliedMethod, methodTargets, restoreHead, withHead, withoutHead } from './appliedMethod.js';
import type { AppliedMethod, MergeBase, MergedModel, Method, MethodAdapter, MethodModel } from './method.js';
import { newConfig, refuseSaved, refuseSet, targetsIn } from './methodConfig.js';
import { followed, ignored, refused } from '@lowrank/settings';
import { peftFiles } from './peftFiles.js';
import { refuseOutput, refuseTaken } from './refusals.js';
import { mismatch, storedTensor } from './storedTensor.js';
import { targetsGiven } from './targetsGiven.js';

type Names = readonly string[] | string;

// #region settings
const settings = defineSettings(
  { code: 'methods.settings', subject: 'the IA³ setting' },
  {
    /**
     * Names of layers (exact, or the end of a path), a regular expression that matches whole paths, or 'all-linear'.
     */
    targetModules: setting({
      schema: either(list(text()), text()),
      key: 'target_modules',
      help: 'layers that get a vector: a,b or all-linear',
      value: 'names',
      otherwise: "PEFT's for the model",
      cost: true,
      onResume: 'same',
    }),
    /** Of the targets those whose inputs are multiplied, not their outputs: the ends of their paths. */
    feedforwardModules: setting({
      schema: either(list(text()), text()),
      key: 'feedforward_modules',
      help: 'those of them whose inputs are scaled instead of their outputs',
      value: 'names',
      otherwise: "PEFT's for the model",
      onResume: 'same',
    }),
  },
);
// #endregion settings

const llama = { targets: ['k_proj', 'v_proj', 'down_proj'], feedforward: ['down_proj'] };
const bert = { targets: ['key', 'value', 'output.dense'], feedforward: ['output.dense'] };
const gemma = { targets: ['q_proj', 'v_proj', 'down_proj'], feedforward: ['down_proj'] };

/**
 * PEFT's layers by `model_type` (TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING and its like for feed-forward
 * modules), and what it has for a family's like.
 */
const defaults: Readonly<
  Record<string, { readonly targets: readonly string[]; readonly feedforward: readonly string[] }>
> = {
  llama,
  mistral: llama,
  smollm3: llama,
  olmo2: llama,
  olmo3: llama,
  granite: llama,
  gemma,
  gemma2: gemma,
  gemma3: gemma,
  gemma3_text: gemma,
  qwen2: gemma,
  qwen3: gemma,
  phi: { targets: ['q_proj', 'v_proj', 'fc2'], feedforward: ['fc2'] },
  phi3: { targets: ['qkv_proj', 'down_proj'], feedforward: ['down_proj'] },
  bert,
  roberta: bert,
  gpt2: { targets: ['c_attn', 'mlp.c_proj'], feedforward: ['mlp.c_proj'] },
  gpt_neox: { targets: ['query_key_value', 'dense_4h_to_h'], feedforward: ['dense_4h_to_h'] },
};

// #region method
const prefix = 'base_model.model.';
const about = {
  title: 'IA³',
  peftTypes: ['IA3'],
  settings: [settings],
  peftKeys: {
    target_modules: followed('the layers that have vectors'),
    feedforward_modules: followed('those whose input is scaled, not their output'),
    exclude_modules: refused('other than null or empty'),
    fan_in_fan_out: ignored('the layers know how their weights lie'),
    init_ia3_weights: ignored('how the vectors began'),
  },
} as const;

/**
 * IA³ (Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning"): a
 * learned vector l, one at first, multiplies the output of each target, y = l ⊙ (W·x + b) with l [out], or of
 * feed-forward modules the input, y = W·(l ⊙ x) + b with l [in]. Files are PEFT's: `<path>.ia3_l`, [out, 1] or [1, in].
 * Merged it is a scaling of W's rows or columns.
 */
export const ia3: Method<readonly [typeof settings], MethodAdapter> = {
  ...about,
  name: 'ia3',
  saves: 'adapter',
  overCodes: true,
  resumes: true,
  learningRates: [1e-3, 3e-3, 1e-2],
  ...peftFiles(about),

  async inject(model, options = {}) {
    refuseTaken(model, about.title);
    const own = defaults[model.shape.modelType];
    const targetModules = targetsGiven(options.targetModules ?? own?.targets ?? noDefaults(model));
    const feedforward = options.feedforwardModules ?? own?.feedforward ?? [];
    const layers = targetsOf(model, targetModules);
    const config = newConfig(
      {
        exclude_modules: null,
        fan_in_fan_out: [...layers.values()].some((layer) => layer instanceof Conv1d),
        feedforward_modules: feedforward,
        init_ia3_weights: true,
        peft_type: 'IA3',
        target_modules: targetModules,
      },
      options,
      model,
    );
    const ones = (name: string, shape: readonly number[]): Tensor =>
      tensor(new Float32Array(Math.max(...shape)).fill(1), shape, { name });
    return place(model, config, layers, ones);
  },

  async attach(model, adapter) {
    const { config, tensors } = withoutHead(model, adapter);
    refuseSet(config, ['exclude_modules']);
    refuseSaved(config, model);
    refuseTaken(model, about.title);
    restoreHead(model, adapter);
    const layers = targetsOf(model, targetsIn(config));
    for (const key of tensors.keys())
      if (!key.startsWith(prefix) || !key.endsWith('.ia3_l') || !layers.has(key.slice(prefix.length, -'.ia3_l'.length)))
        throw mismatch(key, 'vectors of the layers that target_modules names', 'one of another layer');
    return place(model, config, layers, (name, shape) => storedTensor(adapter, name, shape));
  },

  async merge(adapter, base) {
    // What does not fit is an error before a byte is written.
    (await ia3.attach(base.outline(), adapter)).remove();
    return withHead(scaled(adapter, base), adapter, base.outline());
  },
};
// #endregion method

// #region layer
/** y = l ⊙ base(x), or of a feed-forward module base(l ⊙ x). */
class Ia3Layer extends Module implements LinearLike {
  readonly vector: Parameter;

  constructor(
    readonly base: LinearLike,
    private readonly feedforward: boolean,
    vector: Tensor,
  ) {
    super();
    this.child('base_layer', base);
    this.vector = this.parameter('ia3_l', new Parameter(vector));
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }

  get outFeatures(): number {
    return this.base.outFeatures;
  }

  /** x […, in] → […, out] */
  forward(x: Tensor): Tensor {
    const { tensor: vector } = this.vector;
    const l = reshape(vector, [vector.size]);
    return this.feedforward ? this.base.forward(mul(x, l)) : mul(this.base.forward(x), l);
  }
}
// #endregion layer

function noDefaults({ shape }: MethodModel): never {
  throw new LowrankError({
    code: 'methods.noTargets',
    what: `IA³ in a ${shape.modelType}`,
    expected: 'target modules, since PEFT names none for this model type',
    got: 'none',
    remedy: 'Name the key, value and second feed-forward projections, and the latter as feed-forward modules.',
  });
}

function targetsOf(model: MethodModel, targetModules: Names): Map<string, LinearLike> {
  const layers = new Map<string, LinearLike>();
  for (const [path, layer] of methodTargets(model, targetModules)) {
    if (!isLinearLike(layer)) throw mismatch(path, 'a linear layer', 'an embedding');
    layers.set(path, layer);
  }
  refuseOutput(model, layers, about.title);
  return layers;
}

/** PEFT compares the ends of paths with names, without looking for a dot, or all of a path with an expression. */
function isFeedforward(config: MethodAdapter['config'], path: string): boolean {
  if ((config['feedforward_modules'] ?? null) === null) return false;
  const names = targetsIn(config, 'feedforward_modules');
  return typeof names === 'string'
    ? PathPattern.of(names, 'whole').matches(path)
    : names.some((name) => path.endsWith(name));
}

function place(
  model: MethodModel,
  config: MethodAdapter['config'],
  layers: ReadonlyMap<string, LinearLike>,
  make: (name: string, shape: readonly number[]) => Tensor,
): AppliedMethod<MethodAdapter> {
  const made = [...layers].map(([path, base]) => {
    const feedforward = isFeedforward(config, path);
    const name = `${prefix}${path}.ia3_l`;
    const vector = make(name, feedforward ? [1, base.inFeatures] : [base.outFeatures, 1]);
    return { path, name, base, layer: new Ia3Layer(base, feedforward, vector) };
  });
  for (const { path, layer } of made) model.setModule(path, layer);
  return appliedMethod({
    model,
    config,
    placed: made,
    parameters: new Map(made.map(({ name, layer }) => [name, layer.vector])),
  });
}

/** W's rows (and b) times l, or of a feed-forward module its columns; rounded to f32, then to W's own dtype. */
function scaled({ config, tensors }: MethodAdapter, base: MergeBase): MergedModel {
  const vectors = new Map(
    [...tensors].map(([key, { data }]) => [key.slice(prefix.length, -'.ia3_l'.length), data] as const),
  );
  const modules = new Map(base.outline().namedModules());
  const merged = base.tensors.map((stored): CheckpointTensor => {
    const [, path = '', kind] = /^(.*)\.(weight|bias)$/.exec(stored.name) ?? [];
    const vector = vectors.get(path);
    const feedforward = isFeedforward(config, path);
    if (vector === undefined || (kind === 'bias' && feedforward)) return stored;
    const isTurned = modules.get(path) instanceof Conv1d;
    const [, width = 1] = kind === 'bias' ? [] : stored.shape;
    // Whether l runs along a row of the tensor, or has a number for each row.
    const alongRows = kind === 'weight' && feedforward !== isTurned;
    return timesVector(stored, (at) => vector[alongRows ? at % width : Math.floor(at / width)] ?? NaN);
  });
  return { config: base.config, tensors: merged, changed: vectors.size };
}

function timesVector(stored: CheckpointTensor, factorAt: (at: number) => number): CheckpointTensor {
  const { name, dtype, shape } = stored;
  return {
    name,
    dtype,
    shape,
    async read() {
      const type = ({ F32: 'f32', F16: 'f16', BF16: 'bf16' } as const)[dtype as 'F32'];
      const values = toFloat32(hostArray(type, new Uint8Array(await stored.read()).buffer), type);
      const product = values.map((value, at) => value * factorAt(at));
      if (!product.every(Number.isFinite)) throw mismatch(name, 'finite numbers', 'NaN or infinity');
      const { buffer, byteOffset, byteLength } = type === 'f32' ? product : fromNumbers(product, type);
      return new Uint8Array(buffer, byteOffset, byteLength);
    },
  };
}
