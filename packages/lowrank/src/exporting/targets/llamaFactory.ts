import type { TextRow } from '@lowrank/data';
import type { ExportedRow, ExportedRun, ExportTarget, Recipe } from '../exportedRun.js';
import { huggingFaceOptimizer, huggingFaceSchedule, onlyForm, unsupported } from '../recipes.js';
import { yamlText } from '../yamlText.js';

/** LLaMA-Factory: its configuration, and the rows as its data sets have them. */
export const llamaFactory: ExportTarget = {
  title: 'LLaMA-Factory',
  async write(run) {
    const form = onlyForm(run.rows, 'LLaMA-Factory');
    const isChat = form === 'messages';
    return {
      files: {
        'train.yaml': await yamlText(config(run, form)),
        'dataset_info.json': `${JSON.stringify({ lowrank: datasetInfo(form) }, null, 2)}\n`,
        'train.json': `${JSON.stringify(
          run.rows.map((row) => rowOf(row, run)),
          null,
          1,
        )}\n`,
      },
      command: 'llamafactory-cli train train.yaml',
      back: 'The folder `tuned` is an adapter as Lowrank loads it.',
      differences: [
        ...unsupported('LLaMA-Factory', run, { dropout: 'PyTorch draws other numbers' }),
        'LLaMA-Factory shuffles the rows in an order of its own.',
        ...(isChat ? ['Chats are rendered by LLaMA-Factory from the template of the tokenizer.'] : []),
      ],
    };
  },
};

function config({ model, adapter, recipe }: ExportedRun, form: string): object {
  const { quantization } = recipe;
  return {
    model_name_or_path: model,
    ...(adapter !== undefined && { adapter_name_or_path: './adapter' }),
    ...(quantization !== undefined && quantizationKeys(recipe)),
    stage: form === 'text' ? 'pt' : 'sft',
    do_train: true,
    finetuning_type: adapter === undefined ? 'full' : 'lora',
    // Goes on with that adapter instead of a new one on top.
    ...(adapter !== undefined && { create_new_adapter: false }),
    dataset: 'lowrank',
    dataset_dir: '.',
    ...(form === 'messages' ? {} : { template: 'empty' }),
    cutoff_len: recipe.maxLength,
    packing: false,
    per_device_train_batch_size: recipe.batchSize,
    gradient_accumulation_steps: recipe.gradientAccumulation,
    max_steps: recipe.steps,
    learning_rate: recipe.learningRate,
    ...huggingFaceSchedule(recipe),
    warmup_steps: recipe.warmup,
    optim: huggingFaceOptimizer(recipe),
    adam_beta1: recipe.beta1,
    adam_beta2: recipe.beta2,
    adam_epsilon: recipe.epsilon,
    weight_decay: recipe.weightDecay,
    max_grad_norm: recipe.clip,
    disable_gradient_checkpointing: !recipe.checkpointing,
    seed: recipe.seed,
    bf16: true,
    logging_steps: 1,
    output_dir: './tuned',
  };
}

function quantizationKeys({ quantization }: Recipe): object {
  if (quantization?.type === 'int8') return { quantization_bit: 8, quantization_method: 'bnb' };
  return {
    quantization_bit: 4,
    quantization_method: 'bnb',
    quantization_type: quantization?.type,
    double_quantization: quantization?.doubleQuantization === true,
  };
}

function datasetInfo(form: string): object {
  if (form === 'text') return { file_name: 'train.json', columns: { prompt: 'text' } };
  if (form === 'prompt') return { file_name: 'train.json', columns: { prompt: 'prompt', response: 'completion' } };
  return {
    file_name: 'train.json',
    formatting: 'sharegpt',
    columns: { messages: 'messages', tools: 'tools' },
    tags: {
      role_tag: 'role',
      content_tag: 'content',
      user_tag: 'user',
      assistant_tag: 'assistant',
      observation_tag: 'tool',
      function_tag: 'function_call',
      system_tag: 'system',
    },
  };
}

function rowOf({ row }: ExportedRow, { eos }: ExportedRun): object {
  if ('messages' in row) return { messages: row.messages, ...toolsOf(row) };
  if ('text' in row) return { text: row.text };
  // The template `empty` puts no EOS at the end of an answer.
  if ('completion' in row && typeof row.completion === 'string')
    return { prompt: row.prompt, completion: `${row.completion}${row.completion.endsWith(eos) ? '' : eos}` };
  return row;
}

function toolsOf(row: TextRow): object {
  return 'tools' in row && row.tools !== undefined ? { tools: JSON.stringify(row.tools) } : {};
}
