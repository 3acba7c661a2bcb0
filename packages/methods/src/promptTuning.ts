import { LowrankError } from '@lowrank/errors';
import { Parameter } from '@lowrank/nn';
import { streamOf } from '@lowrank/patch';
import type { Tensor } from '@lowrank/tensor';
import { Rng, tensor } from '@lowrank/tensor';
import type { CommonSettings, MethodAdapter, MethodModel, Tuning, TuningMethod } from './method.js';
import { badConfig, newConfig, refuseSet, wholeNumber } from './methodConfig.js';
import { normalTensor, refuseTaken, storedTensor, tuningOf } from './tuning.js';
import { checkCount, defaultVirtualTokens, embeddingRows, placeVirtual } from './virtualTokens.js';

export interface PromptSettings extends CommonSettings {
  /** P; default 20. */
  readonly virtualTokens?: number | undefined;
  /**
   * `random`: standard normal, PEFT's default; `vocab`: the embeddings of tokens drawn from the vocabulary; or the
   * embeddings of a text, as often as it takes to fill P.
   */
  readonly init?: 'random' | 'vocab' | { readonly text: string; readonly ids: readonly number[] } | undefined;
}

const key = 'prompt_embeddings';

/**
 * Prompt tuning (Lester et al. 2021; "prefix-embedding tuning" in Hu et al. 2021): P trained vectors E [P, width] stand
 * before the embeddings of every document, h₀ = [E; e(x)]. PEFT's PROMPT_TUNING, whose files these are.
 */
export const promptTuning: TuningMethod<PromptSettings> = {
  name: 'prompt',
  title: 'prompt tuning',
  peftTypes: ['PROMPT_TUNING'],
  defaults: { virtualTokens: defaultVirtualTokens, init: 'random' },

  async inject(model, settings = {}) {
    const { virtualTokens: count = defaultVirtualTokens, init = 'random', baseModel } = settings;
    checkCount(model, count);
    refuse(model);
    const { layers, heads, hiddenSize } = model.shape;
    const text = typeof init === 'object' ? init.text : null;
    const config = newConfig(
      {
        num_attention_heads: heads,
        num_layers: layers,
        num_transformer_submodules: 1,
        num_virtual_tokens: count,
        peft_type: 'PROMPT_TUNING',
        prompt_tuning_init: init === 'random' ? 'RANDOM' : init === 'vocab' ? 'SAMPLE_VOCAB' : 'TEXT',
        prompt_tuning_init_text: text,
        token_dim: hiddenSize,
        tokenizer_kwargs: null,
        tokenizer_name_or_path: text === null ? null : (baseModel ?? null),
      },
      settings,
    );
    return place(model, config, await begin(model, count, settings));
  },

  async attach(model, adapter) {
    const { config } = adapter;
    const count = wholeNumber(config, 'num_virtual_tokens');
    refuseSet(config, ['modules_to_save']);
    if ((config['num_transformer_submodules'] ?? 1) !== 1)
      badConfig('num_transformer_submodules', '1, of a decoder', config['num_transformer_submodules']);
    checkCount(model, count);
    refuse(model);
    return place(model, config, storedTensor(adapter, key, [count, model.shape.hiddenSize]));
  },
};

function refuse(model: MethodModel): void {
  refuseTaken(model, 'prompt tuning');
}

async function begin(
  model: MethodModel,
  count: number,
  { init = 'random', seed = 0 }: PromptSettings,
): Promise<Tensor> {
  const { hiddenSize, vocabularySize } = model.shape;
  const shape = [count, hiddenSize];
  if (init === 'random') return normalTensor(shape, key, { seed });
  const rng = new Rng(seed, streamOf(key));
  const ids =
    init === 'vocab' ? Array.from({ length: count }, () => rng.integer(vocabularySize)) : repeated(init, count);
  return tensor(await embeddingRows(model, ids), shape, { name: key });
}

function repeated({ text, ids }: { readonly text: string; readonly ids: readonly number[] }, count: number): number[] {
  if (ids.length === 0)
    throw new LowrankError({
      code: 'methods.initText',
      what: 'the text that prompt tuning begins with',
      expected: 'at least one token',
      got: JSON.stringify(text),
    });
  return Array.from({ length: count }, (_, at) => ids[at % ids.length] ?? 0);
}

function place(model: MethodModel, config: MethodAdapter['config'], table: Tensor): Tuning {
  const parameters = new Map([[key, new Parameter(table)]]);
  const placed = placeVirtual(model, table.shape[0] ?? 0, parameters);
  return tuningOf({ model, config, parameters, placed: [placed], undo: () => (model.virtualTokens = 0) });
}
