import { LowrankError } from '@lowrank/errors';
import { Parameter } from '@lowrank/nn';
import { streamOf } from '@lowrank/patch';
import type { Tensor } from '@lowrank/tensor';
import { Rng, tensor } from '@lowrank/tensor';
import type { AppliedMethod, Method, MethodAdapter, MethodContext, MethodModel, OptionsOfMethod } from './method.js';
import { badConfig, newConfig, refuseSaved, wholeNumber } from './methodConfig.js';
import { appliedMethod, inPeftModel, restoreHead } from './appliedMethod.js';
import { normalTensor } from './normalTensor.js';
import { eachKey, ignored } from '@lowrank/settings';
import { virtualKeys } from './peftKeys.js';
import { peftFiles } from './peftFiles.js';
import { refuseMerge, refuseTaken } from './refusals.js';
import { storedTensor } from './storedTensor.js';
import { defaultVirtualTokens, promptSettings } from './virtualSettings.js';
import { checkCount, embeddingRows, placeVirtual } from './virtualTokens.js';

const key = 'prompt_embeddings';

type Tables = readonly [typeof promptSettings];

const about = {
  title: 'prompt tuning',
  peftTypes: ['PROMPT_TUNING'],
  settings: [promptSettings],
  peftKeys: {
    ...virtualKeys,
    ...eachKey(
      ['prompt_tuning_init', 'prompt_tuning_init_text', 'tokenizer_name_or_path', 'tokenizer_kwargs'],
      ignored('how the vectors began'),
    ),
  },
} as const;

/**
 * Prompt tuning (Lester et al. 2021; "prefix-embedding tuning" in Hu et al. 2021): P trained vectors E [P, width] stand
 * before the embeddings of every document, h₀ = [E; e(x)]. PEFT's PROMPT_TUNING, whose files these are.
 */
export const promptTuning: Method<Tables, MethodAdapter> = {
  ...about,
  name: 'prompt',
  saves: 'adapter',
  overCodes: true,
  resumes: true,
  learningRates: [1e-2, 3e-2, 1e-1],
  ...peftFiles(about),
  merge: refuseMerge(about.title),

  async inject(model, options = {}, context = {}) {
    const { virtualTokens: count = defaultVirtualTokens, promptInitText: text, baseModel } = options;
    const { virtualInit = 'random' } = options;
    checkCount(model, count);
    refuse(model);
    const { layers, heads, hiddenSize } = model.shape;
    const init = { random: 'RANDOM', vocab: 'SAMPLE_VOCAB' }[virtualInit];
    const config = newConfig(
      {
        num_attention_heads: heads,
        num_layers: layers,
        num_transformer_submodules: 1,
        num_virtual_tokens: count,
        peft_type: 'PROMPT_TUNING',
        prompt_tuning_init: text === undefined ? init : 'TEXT',
        prompt_tuning_init_text: text ?? null,
        token_dim: hiddenSize,
        tokenizer_kwargs: null,
        tokenizer_name_or_path: text === undefined ? null : (baseModel ?? null),
      },
      options,
      model,
    );
    return place(model, config, await begin(model, count, { ...options, ids: await idsOf(text, context) }));
  },

  async attach(model, adapter) {
    const { config } = adapter;
    const count = wholeNumber(config, 'num_virtual_tokens');
    refuseSaved(config, model);
    if ((config['num_transformer_submodules'] ?? 1) !== 1)
      badConfig('num_transformer_submodules', '1, of a decoder', config['num_transformer_submodules']);
    checkCount(model, count);
    refuse(model);
    restoreHead(model, adapter, inPeftModel);
    return place(model, config, storedTensor(adapter, key, [count, model.shape.hiddenSize]));
  },
};

function refuse(model: MethodModel): void {
  refuseTaken(model, 'prompt tuning');
}

/** As PEFT does: with what the tokenizer puts around a text. */
async function idsOf(text: string | undefined, { tokenizer }: MethodContext): Promise<readonly number[] | undefined> {
  if (text === undefined) return undefined;
  const ids = (await tokenizer?.())?.encode(text) ?? [];
  if (ids.length > 0) return ids;
  throw new LowrankError({
    code: 'methods.initText',
    what: 'the text that prompt tuning begins with',
    expected: tokenizer === undefined ? 'a tokenizer to encode it (context.tokenizer)' : 'at least one token',
    got: tokenizer === undefined ? 'none' : JSON.stringify(text),
  });
}

async function begin(
  model: MethodModel,
  count: number,
  { virtualInit = 'random', seed = 0, ids }: OptionsOfMethod<Tables> & { readonly ids: readonly number[] | undefined },
): Promise<Tensor> {
  const { hiddenSize, vocabularySize } = model.shape;
  const shape = [count, hiddenSize];
  if (ids === undefined && virtualInit === 'random') return normalTensor(shape, key, { seed });
  const rng = new Rng(seed, streamOf(key));
  const tokens = Array.from({ length: count }, (_, at) =>
    ids === undefined ? rng.integer(vocabularySize) : (ids[at % ids.length] ?? 0),
  );
  return tensor(await embeddingRows(model, tokens), shape, { name: key });
}

function place(model: MethodModel, config: MethodAdapter['config'], table: Tensor): AppliedMethod<MethodAdapter> {
  const parameters = new Map([[key, new Parameter(table)]]);
  const placed = placeVirtual(model, table.shape[0] ?? 0, parameters);
  const undo = (): unknown => (model.virtualTokens = 0);
  return appliedMethod({ model, config, parameters, placed: [placed], undo, within: inPeftModel });
}
