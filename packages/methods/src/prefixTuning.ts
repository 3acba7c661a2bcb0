import { AttentionBase, Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { persistent, reshape, tensor } from '@lowrank/tensor';
import type { AppliedMethod, Method, MethodAdapter, MethodModel, MethodTensor } from './method.js';
import { badConfig, newConfig, refuseSaved, wholeNumber } from './methodConfig.js';
import {
  fileBytesOf,
  freeze,
  headOf,
  hostTensor,
  inPeftModel,
  namedOf,
  restoreHead,
  takeOut,
} from './appliedMethod.js';
import { normalTensor } from './normalTensor.js';
import { eachKey, ignored } from '@lowrank/settings';
import { virtualKeys } from './peftKeys.js';
import { peftFiles } from './peftFiles.js';
import { refuseMerge, refuseTaken } from './refusals.js';
import { mismatch } from './storedTensor.js';
import { defaultVirtualTokens, prefixSettings } from './virtualSettings.js';
import { checkCount, placeVirtual } from './virtualTokens.js';

const key = 'prompt_embeddings';

const about = {
  title: 'prefix tuning',
  peftTypes: ['PREFIX_TUNING'],
  settings: [prefixSettings],
  peftKeys: {
    ...virtualKeys,
    ...eachKey(
      ['prefix_projection', 'encoder_hidden_size', 'init_weights'],
      ignored('how the vectors were made: the file holds what came of it, in the shapes that are checked'),
    ),
  },
} as const;

/**
 * Prefix tuning (Li and Liang 2021; "prefix-layer tuning" in Hu et al. 2021), without its projection: in every
 * attention layer P trained keys and values stand before those of the document, softmax(q·[K; k]ᵀ·scale)·[V; v]. They
 * carry no rotary position; the document begins at position P. PEFT's PREFIX_TUNING, whose files these are: one table
 * [P, layers·2·Hkv·D] with the keys of a layer, then its values, side by side. A prefix that PEFT trained with
 * `prefix_projection` is saved projected, and is read like any other.
 */
export const prefixTuning: Method<readonly [typeof prefixSettings], MethodAdapter> = {
  ...about,
  name: 'prefix',
  saves: 'adapter',
  overCodes: true,
  resumes: true,
  learningRates: [3e-3, 1e-2, 3e-2],
  ...peftFiles(about),
  merge: refuseMerge(about.title),

  async inject(model, settings = {}) {
    const { virtualTokens: count = defaultVirtualTokens, virtualInit: init = 'random', seed } = settings;
    checkCount(model, count);
    const { layers, keyHeads, headSize } = model.shape;
    const width = keyHeads * headSize;
    const config = newConfig(
      {
        encoder_hidden_size: width,
        init_weights: init === 'zero' ? 'zero' : null,
        num_attention_heads: keyHeads,
        num_layers: layers,
        num_transformer_submodules: 1,
        num_virtual_tokens: count,
        peft_type: 'PREFIX_TUNING',
        prefix_projection: false,
        token_dim: width,
      },
      settings,
      model,
    );
    return place(model, config, (name) =>
      init === 'zero' ? persistent([count, width], { name }) : normalTensor([count, width], name, { seed }),
    );
  },

  async attach(model, adapter) {
    const count = wholeNumber(adapter.config, 'num_virtual_tokens');
    refuseSaved(adapter.config, model);
    if ((adapter.config['num_transformer_submodules'] ?? 1) !== 1)
      badConfig('num_transformer_submodules', '1, of a decoder', adapter.config['num_transformer_submodules']);
    checkCount(model, count);
    const { layers, keyHeads, headSize } = model.shape;
    const width = keyHeads * headSize;
    const table = adapter.tensors.get(key);
    if (table?.shape.join() !== `${count},${2 * layers * width}`)
      throw mismatch(
        key,
        `[${count}, ${2 * layers * width}], of ${layers} layers with ${keyHeads} heads of ${headSize}`,
        table === undefined ? 'nothing' : `[${table.shape.join(', ')}]`,
      );
    restoreHead(model, adapter, inPeftModel);
    // What is saved has been projected.
    return place(model, { ...adapter.config, prefix_projection: false }, (name, at) =>
      tensor(columns(table, at * width, width), [count, width], { name }),
    );
  },
};

/** @param make the tensor of a layer's keys or values, by name and number: 2·layer, and one more for values */
async function place(
  model: MethodModel,
  config: MethodAdapter['config'],
  make: (name: string, at: number) => Tensor,
): Promise<AppliedMethod<MethodAdapter>> {
  refuseTaken(model, 'prefix tuning');
  const attentions = [...model.namedModules()].flatMap(([, module]) =>
    module instanceof AttentionBase ? [module] : [],
  );
  const { layers, keyHeads, headSize } = model.shape;
  if (attentions.length !== layers)
    throw new TypeError(`a model of ${layers} layers with ${attentions.length} of attention`);
  const names = attentions.flatMap((_, layer) => [`prefix.${layer}.keys`, `prefix.${layer}.values`]);
  const parameters = new Map(names.map((name, at) => [name, new Parameter(make(name, at))]));
  const all = [...parameters.values()];
  const count = all[0]?.tensor.shape[0] ?? 0;
  const heads = (parameter: Parameter | undefined): Tensor =>
    reshape(parameter?.tensor ?? persistent([count, keyHeads * headSize]), [count, keyHeads, headSize]);
  attentions.forEach(
    (attention, layer) =>
      (attention.prefix = () => ({ keys: heads(all[2 * layer]), values: heads(all[2 * layer + 1]) })),
  );
  const placed = [placeVirtual(model, count, parameters)];
  model.virtualStates = false;
  const head = headOf(model, inPeftModel);
  freeze(model, [...all, ...head.values()]);
  const undo = (): void => {
    model.virtualTokens = 0;
    model.virtualStates = true;
    for (const attention of attentions) attention.prefix = undefined;
  };
  const stored = new Map<string, readonly number[]>([
    [key, [count, all.length * keyHeads * headSize]],
    ...[...head].map(([name, { tensor: value }]) => [name, value.shape] as const),
  ]);
  return {
    parameters: namedOf(new Map([...parameters, ...head]), inPeftModel),
    fileBytes: (dtype) => fileBytesOf(stored, dtype),
    async extract() {
      const parts: MethodTensor[] = [];
      for (const parameter of all) parts.push(await hostTensor(parameter.tensor));
      const tensors = new Map([[key, sideBySide(parts, count)]]);
      for (const [name, { tensor: value }] of head) tensors.set(name, await hostTensor(value));
      return { config, tensors };
    },
    remove: () => takeOut({ model, parameters, placed, undo }),
  };
}

/** Columns from `start` of a matrix. */
function columns({ shape: [rows = 0, all = 0], data }: MethodTensor, start: number, width: number): Float32Array {
  const part = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++)
    part.set(data.subarray(row * all + start, row * all + start + width), row * width);
  return part;
}

function sideBySide(parts: readonly MethodTensor[], rows: number): MethodTensor {
  const width = parts[0]?.shape[1] ?? 0;
  const data = new Float32Array(rows * width * parts.length);
  parts.forEach((part, at) => {
    for (let row = 0; row < rows; row++)
      data.set(part.data.subarray(row * width, (row + 1) * width), (row * parts.length + at) * width);
  });
  return { shape: [rows, width * parts.length], data };
}
