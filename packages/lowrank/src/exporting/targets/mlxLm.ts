import { lora } from '@lowrank/methods';
import { mlxFiles } from '@lowrank/lora';
import type { MlxAdapter } from '@lowrank/lora';
import { bytesSource } from '@lowrank/safetensors';
import type { MethodFiles } from '@lowrank/methods';
import type { ExportedRow, ExportedRun, ExportTarget, Recipe } from '../exportedRun.js';
import { onlyForm, refuse, unsupported } from '../recipes.js';
import { yamlText } from '../yamlText.js';

/** mlx-lm: its configuration, rows as it reads them, and the adapter in its own format. */
export const mlxLm: ExportTarget = {
  title: 'mlx-lm',
  async write(run) {
    const form = onlyForm(run.rows, 'mlx-lm');
    const adapter = run.adapter && (await mlxAdapter(run.adapter));
    const lines = run.rows.map(({ row }) => `${JSON.stringify(rowOf(row))}\n`).join('');
    return {
      files: {
        'lora.yaml': await yamlText(config(run, form, adapter)),
        // mlx-lm wants held-out rows too: a few of those that are trained.
        'data/train.jsonl': lines,
        'data/valid.jsonl': lines.split('\n').slice(0, run.recipe.batchSize).join('\n') + '\n',
        ...(adapter && { 'adapters.safetensors': adapter.weights }),
      },
      command: 'mlx_lm.lora --config lora.yaml',
      back: 'lowrank convert --from mlx --adapter tuned --output FOLDER writes a PEFT folder of what it learned.',
      differences: [
        ...unsupported('mlx-lm', run),
        'mlx-lm sorts rows by length and shuffles batches in an order of its own, and draws other dropout.',
        ...(run.recipe.clip > 0 ? [`clip ${run.recipe.clip}: mlx-lm does not clip gradients.`] : []),
        ...(form === 'prompt'
          ? ['prompt and completion: mlx-lm renders them by the chat template, Lowrank trains on them as they are.']
          : []),
        ...(run.recipe.quantization === undefined
          ? []
          : ['quantization: mlx-lm trains over its own 4-bit models; quantize the model by mlx_lm.convert.']),
      ],
    };
  },
};

async function mlxAdapter(files: MethodFiles): Promise<MlxAdapter> {
  const { 'adapter_config.json': config, 'adapter_model.safetensors': weights } = files;
  if (!(config instanceof Uint8Array || typeof config === 'string') || !(weights instanceof Uint8Array))
    return refuse('the adapter', 'LoRA, the only adapter of mlx-lm');
  const json: unknown = JSON.parse(typeof config === 'string' ? config : new TextDecoder().decode(config));
  const source = {
    config: json as object,
    weights: bytesSource(weights, 'adapter_model.safetensors'),
    name: 'adapter',
  };
  return mlxFiles(await lora.read(source));
}

function config({ model, recipe }: ExportedRun, form: string, adapter: MlxAdapter | undefined): object {
  return {
    model,
    train: true,
    data: './data',
    fine_tune_type: adapter === undefined ? 'full' : 'lora',
    num_layers: -1,
    ...(adapter && { lora_parameters: adapter.parameters, resume_adapter_file: './adapters.safetensors' }),
    mask_prompt: form !== 'text',
    batch_size: recipe.batchSize,
    grad_accumulation_steps: recipe.gradientAccumulation,
    // mlx-lm counts micro-batches.
    iters: recipe.steps * recipe.gradientAccumulation,
    max_seq_length: recipe.maxLength,
    learning_rate: recipe.learningRate,
    ...schedule(recipe),
    optimizer: 'adamw',
    optimizer_config: { adamw: optimizerConfig(recipe) },
    grad_checkpoint: recipe.checkpointing,
    seed: recipe.seed,
    steps_per_report: 1,
    adapter_path: './tuned',
  };
}

function optimizerConfig({ optimizer, beta1, beta2, epsilon, weightDecay }: Recipe): object {
  if (optimizer !== 'adamw') refuse(`the optimizer ${optimizer} in mlx-lm`, 'adamw');
  return { betas: [beta1, beta2], eps: epsilon, weight_decay: weightDecay, bias_correction: true };
}

/** mlx's schedules by name, with their arguments in order. */
function schedule({ schedule: name, learningRate, warmup, steps, gradientAccumulation }: Recipe): object {
  const left = Math.max(1, (steps - warmup) * gradientAccumulation);
  const shapes: Readonly<Record<string, object>> = {
    linear: { name: 'linear_schedule', arguments: [learningRate, 0, left] },
    cosine: { name: 'cosine_decay', arguments: [learningRate, left, 0] },
    constant: { name: 'linear_schedule', arguments: [learningRate, learningRate, left] },
  };
  const shape = shapes[name] ?? refuse(`the schedule ${name} in mlx-lm`, Object.keys(shapes).join(', '));
  if (name === 'constant' && warmup === 0) return {};
  return { lr_schedule: { ...shape, ...(warmup > 0 && { warmup: warmup * gradientAccumulation }) } };
}

function rowOf(row: ExportedRow['row']): object {
  const { line: _, ...rest } = row;
  return rest;
}
