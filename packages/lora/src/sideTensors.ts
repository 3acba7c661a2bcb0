import type { TensorInfo } from '@lowrank/safetensors';
import { isOutsideLayers, tableSuffix } from './adapterKeys.js';
import type { LoraConfig } from './config.js';
import type { WholeTensor } from './loraAdapter.js';

/**
 * What PEFT saves whole for its tasks, `modules_to_save` or not (PeftModelForSequenceClassification and its like), and
 * adds to `modules_to_save`, whether a model has such modules or not.
 */
const heads: Readonly<Record<string, readonly string[]>> = {
  SEQ_CLS: ['classifier', 'score'],
  TOKEN_CLS: ['classifier', 'score'],
  QUESTION_ANS: ['qa_outputs'],
};

/** The modules that PEFT trains whole for a task. */
export function headsOfTask(taskType: string | undefined): readonly string[] {
  return taskType !== undefined && Object.hasOwn(heads, taskType) ? (heads[taskType] ?? []) : [];
}

const tokensName = { tokensAlone: '.trainable_tokens_delta', beside: '.token_adapter.trainable_tokens_delta' };

/** How the names of token rows end. */
export function tokensSuffix({ peftType }: LoraConfig): string {
  return peftType === 'TRAINABLE_TOKENS' ? tokensName.tokensAlone : tokensName.beside;
}

/** The module whose token rows a name means, where the configuration has any. */
export function tokenPath(name: string, config: LoraConfig): string | undefined {
  const suffix = tokensSuffix(config);
  return config.trainableTokenIndices !== undefined && name.endsWith(suffix)
    ? name.slice(0, -suffix.length)
    : undefined;
}

/** A table of the base that PEFT saved since its vocabulary was resized, with nothing else at its module. */
export function resizedTable(name: string, { shape }: TensorInfo): string | undefined {
  return name.endsWith('.weight') && !name.includes('.lora_') && shape.length === 2 && isOutsideLayers(name)
    ? name.replace(/\.weight$/, tableSuffix)
    : undefined;
}

/** A tensor as it is stored; 64-bit numbers become f32, as PEFT loads them into a model in f32. */
export async function wholeTensor(
  info: TensorInfo,
  bytes: Uint8Array,
  numbers: (info: TensorInfo) => Promise<Float32Array>,
): Promise<WholeTensor> {
  const { dtype, shape } = info;
  if (dtype === 'F64')
    return { dtype: 'F32', shape, data: new Uint8Array((await numbers(info)).buffer as ArrayBuffer) };
  if (['F32', 'F16', 'BF16'].includes(dtype)) await numbers(info);
  return { dtype, shape, data: new Uint8Array(bytes) };
}

/** Whether a name is that of a tensor saved whole. */
export function isWhole(
  name: string,
  { taskType, bias, modulesToSave = [], ensureWeightTying = false }: LoraConfig,
): boolean {
  if (name.includes('.lora_')) return false;
  const module = name.slice(0, name.lastIndexOf('.'));
  // PEFT matches the end of a module's path; saved tensors may lie below it.
  if (
    modulesToSave.some((saved) => ancestors(module).some((path) => path.endsWith(saved))) ||
    (ensureWeightTying && modulesToSave.length > 0 && name.endsWith('.weight') && isOutsideLayers(name))
  )
    return true;
  return (
    headsOfTask(taskType).some((head) => name.startsWith(`${head}.`) || name.includes(`.${head}.`)) ||
    name.endsWith('.base_layer.weight') ||
    (bias === 'lora_only' && name.endsWith('.base_layer.bias')) ||
    (bias === 'all' && name.endsWith('.bias'))
  );
}

/** A path and all paths that contain it. */
function ancestors(path: string): string[] {
  const names = path.split('.');
  return names.map((_, at) => names.slice(0, at + 1).join('.'));
}
