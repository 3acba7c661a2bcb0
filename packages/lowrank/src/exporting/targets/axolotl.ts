import type { ExportedRun, ExportTarget, Recipe } from '../exportedRun.js';
import { huggingFaceOptimizer, huggingFaceSchedule, tokenLines, unsupported } from '../recipes.js';
import { yamlText } from '../yamlText.js';

/** axolotl: its configuration over the token ids and labels of Lowrank's run, in its order. */
export const axolotl: ExportTarget = {
  title: 'axolotl',
  async write(run) {
    return {
      files: { 'axolotl.yaml': await yamlText(config(run)), 'train.jsonl': tokenLines(run.rows) },
      command: 'axolotl train axolotl.yaml',
      back: 'The folder `tuned` is an adapter as Lowrank loads it.',
      differences: unsupported('axolotl', run, { dropout: 'PyTorch draws other numbers' }),
    };
  },
};

function config({ model, adapter, recipe }: ExportedRun): object {
  const { quantization } = recipe;
  return {
    base_model: model,
    ...(adapter !== undefined && {
      adapter: quantization === undefined ? 'lora' : 'qlora',
      // Rank, factor and layers are those of its adapter_config.json.
      lora_model_dir: './adapter',
    }),
    ...(quantization !== undefined && quantizationKeys(recipe)),
    datasets: [{ path: './train.jsonl', ds_type: 'json', type: null }],
    shuffle_merged_datasets: false,
    curriculum_sampling: true,
    val_set_size: 0,
    sequence_len: recipe.maxLength,
    sample_packing: false,
    micro_batch_size: recipe.batchSize,
    gradient_accumulation_steps: recipe.gradientAccumulation,
    max_steps: recipe.steps,
    learning_rate: recipe.learningRate,
    ...scheduleKeys(recipe),
    warmup_steps: recipe.warmup,
    optimizer: huggingFaceOptimizer(recipe),
    adam_beta1: recipe.beta1,
    adam_beta2: recipe.beta2,
    adam_epsilon: recipe.epsilon,
    weight_decay: recipe.weightDecay,
    max_grad_norm: recipe.clip,
    gradient_checkpointing: recipe.checkpointing,
    seed: recipe.seed,
    bf16: 'auto',
    logging_steps: 1,
    output_dir: './tuned',
  };
}

function scheduleKeys(recipe: Recipe): object {
  const { lr_scheduler_type: name, ...numbers } = huggingFaceSchedule(recipe);
  return { lr_scheduler: name, ...numbers };
}

function quantizationKeys({ quantization }: Recipe): object {
  if (quantization?.type === 'int8') return { load_in_8bit: true };
  return {
    load_in_4bit: true,
    bnb_config_kwargs: {
      bnb_4bit_quant_type: quantization?.type,
      bnb_4bit_use_double_quant: quantization?.doubleQuantization === true,
    },
  };
}
