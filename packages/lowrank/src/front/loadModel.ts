import { readChatTemplate, readTokenizer } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import { loadCausalModel as loadNetwork, requireFile } from '@lowrank/models';
import type { KvCache } from '@lowrank/models';
import type { QuantizationSettings } from '@lowrank/quant';
import type { Backend } from '@lowrank/tensor';
import type { Precision } from '@lowrank/tensor/backend';
import type { DeviceChoices, DeviceName } from '../device.js';
import { checkPrecision, chooseBackend } from '../device.js';
import { endIds } from './answerEnds.js';
import type { LoadProgress } from './loadingReporter.js';
import { loadingReporter } from './loadingReporter.js';
import { Model } from './model.js';
import type { ModelFiles } from '@lowrank/models';
import type { ProblemType } from '../tasks/labels.js';
import type { TaskName } from '../tasks/task.js';
import type { TaskedModel } from './taskedModel.js';
import type { ModelSource } from './modelSource.js';
import { asTextFiles, findFiles } from './modelSource.js';

/** Options of `loadModel`: device, quantization, cache, progress. */
export interface LoadModelOptions extends DeviceChoices {
  /** `auto` (the default): a GPU where there is one, else the CPU. Or a backend of your own, which you dispose. */
  readonly device?: DeviceName | Backend | undefined;
  /** Quantizes the linear layers as they load: QLoRA's base. Default: as the model is stored. */
  readonly quantization?: QuantizationSettings['type'] | QuantizationSettings | undefined;
  /**
   * What matrix products round their operands to: nothing (`f32`, the default), or 16 bits (`mixed`), on the GPU's
   * matrix units where it has them. Of a backend of your own: what it was opened with.
   */
  readonly precision?: Precision | undefined;
  /** Keeps the token embedding and the output projection, frozen, in 8-bit rows: half of what 16 bits take. */
  readonly quantizeEmbeddings?: boolean | undefined;
  /**
   * What keys and values are kept in while texts are written: `f16` halves that memory, and what each token reads of
   * it. Default: `f16` in mixed precision, else `f32`.
   */
  readonly kvCache?: KvCache | undefined;
  /** A chat template in Jinja. Default: the model's own. */
  readonly template?: string | undefined;
  /** Reports how far the download (of a hub id or URL) or the loading of the weights is. */
  readonly onProgress?: ((event: LoadProgress) => void) | undefined;
  /**
   * Told what the folder's files say that is not followed; the tokenizer's also stand in `model.tokenizer.warnings`.
   */
  readonly onWarning?: ((text: string) => void) | undefined;
  /** Ends a download. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@link loadModel} for a model that says something of texts instead of writing them. */
export interface LoadTaskOptions extends Omit<LoadModelOptions, 'template' | 'kvCache'> {
  readonly task: TaskName;
  /** What was learned for it: an adapter's folder, hub id, URL or files. */
  readonly adapter?: ModelSource | undefined;
  /** Names of the labels, where neither the model nor the adapter says them: those of the head's columns, in order. */
  readonly labels?: readonly string[] | undefined;
  /**
   * How the labels of `text-classification` and `image-classification` are understood, where neither the model nor the
   * adapter says it: one each (the default), several at once, or numbers. `regression` has one number each, or one for
   * each name in `labels`.
   */
  readonly problemType?: ProblemType | undefined;
}

/**
 * Loads a model with its tokenizer and chat template onto a device, the same in Node and in browsers:
 *
 *     const model = await loadModel('HuggingFaceTB/SmolLM2-135M-Instruct', { quantization: 'nf4' });
 *     const judge = await loadModel('./minilm', { task: 'text-classification', adapter: './adapter' });
 *
 * Weights go to the device as they arrive, quantized on the way, so that the host never holds the model.
 *
 * @throws LowrankError what findFiles, readTokenizer, chooseBackend and the loading of weights throw
 */
export async function loadModel(source: ModelSource, options: LoadTaskOptions): Promise<TaskedModel>;
export async function loadModel(source: ModelSource, options?: LoadModelOptions): Promise<Model>;
export async function loadModel(
  source: ModelSource,
  options: LoadModelOptions | LoadTaskOptions = {},
): Promise<Model | TaskedModel> {
  const { device = 'auto', onProgress, onWarning, signal } = options;
  const { name, files } = await findFiles(source, 'model', {
    onDownload: (progress) => onProgress?.({ stage: 'downloading', ...progress }),
    onWarning,
    signal,
  });
  // A folder without it is no model's: said before anything else that such a folder lacks.
  await requireFile(files, 'config.json');
  if ('task' in options && options.task !== undefined) return loadForTask({ name, files }, options);
  const texts = asTextFiles(files);
  const tokenizer = await readTokenizer(texts);
  for (const text of tokenizer.warnings) onWarning?.(text);
  const template = await templateOf(texts, options);
  const { backend, owned } = await openDevice(device, options);
  try {
    const quantization = settingsOf(options.quantization);
    const { quantizeEmbeddings, kvCache }: LoadModelOptions = options;
    const network = await loadNetwork(files, {
      quantization,
      quantizeEmbeddings,
      onWarning,
      backend: () => Promise.resolve(backend),
      onProgress: loadingReporter(onProgress),
    });
    const stopIds = await endIds(tokenizer, network, texts);
    const opened = { name, files, network, tokenizer, template, backend, ownsBackend: owned, stopIds };
    return new Model({ ...opened, quantization, quantizeEmbeddings, kvCache });
  } catch (error) {
    if (owned) backend.dispose();
    throw error;
  }
}

async function loadForTask(
  found: { readonly name: string; readonly files: ModelFiles },
  { device = 'auto', adapter, quantization, precision, robustness, tune, ...given }: LoadTaskOptions,
): Promise<TaskedModel> {
  const { loadTaskedModel } = await import('./taskedModel.js');
  const learned = adapter === undefined ? undefined : (await findFiles(adapter, 'adapter')).files;
  const { backend, owned } = await openDevice(device, { precision, robustness, tune, onWarning: given.onWarning });
  const options = { ...given, quantization: settingsOf(quantization) };
  try {
    return await loadTaskedModel(found, { ...options, adapter: learned, backend, ownsBackend: owned });
  } catch (error) {
    if (owned) backend.dispose();
    throw error;
  }
}

async function templateOf(
  texts: ReturnType<typeof asTextFiles>,
  { template }: LoadModelOptions,
): ReturnType<typeof readChatTemplate> {
  if (template === undefined) return readChatTemplate(texts);
  return readChatTemplate({
    name: texts.name,
    text: (file) => (file === 'chat_template.jinja' ? Promise.resolve(template) : texts.text(file)),
  });
}

async function openDevice(
  device: DeviceName | Backend,
  { precision, robustness, tune, onWarning }: Pick<LoadModelOptions, 'precision' | 'onWarning' | keyof DeviceChoices>,
): Promise<{ backend: Backend; owned: boolean }> {
  if (typeof device === 'object') {
    checkPrecision(device, precision);
    return { backend: device, owned: false };
  }
  const { backend, note } = await chooseBackend(device, { precision, robustness, tune });
  if (note !== undefined) onWarning?.(note);
  return { backend, owned: true };
}

function settingsOf(quantization: LoadModelOptions['quantization']): QuantizationSettings | undefined {
  if (typeof quantization !== 'string') return quantization;
  if (quantization === 'nf4' || quantization === 'fp4' || quantization === 'int8') return { type: quantization };
  throw new LowrankError({
    code: 'lowrank.option',
    what: 'quantization',
    expected: 'nf4, fp4 or int8',
    got: String(quantization),
  });
}
