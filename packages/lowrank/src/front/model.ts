import type { ChatMessage, ChatOptions, ChatTemplate, RowSource, TextTokenizer } from '@lowrank/data';
import { evaluationBatches, renderChat, textStream } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter, LoraAdapterFiles, LoraConfig } from '@lowrank/lora';
import { loraConfig, serializeAdapter } from '@lowrank/lora';
import type { MethodFiles } from '@lowrank/methods';
import { readMethod } from '@lowrank/methods';
import type { CausalModel, Generator, KvCache, ModelFiles, SamplingOptions } from '@lowrank/models';
import { createGenerator } from '@lowrank/models';
import {
  activateAdapter,
  addAdapter,
  loadAdapter,
  mergeAdapter,
  removeAdapter,
  saveAdapter,
  scaleAdapter,
  unmergeAdapter,
} from '@lowrank/patch';
import type { QuantizationSettings } from '@lowrank/quant';
import type { Backend } from '@lowrank/tensor';
import type { Evaluation } from '@lowrank/trainer';
import { evaluate } from '@lowrank/trainer';
import { openAdapterFolder } from '../adapterFolder.js';
import { asOpenModel } from '../jobs/openModel.js';
import type { SavePlace } from '../saveFolder.js';
import { saveFolder } from '../saveFolder.js';
import type { TextEndings } from './answerEnds.js';
import { answerEnds } from './answerEnds.js';
import { readGenerationConfig, samplingIn, samplingOf } from './generationConfig.js';
import type { ExportOptions, WeightedFiles } from './exportModel.js';
import type { ModelSource } from './modelSource.js';
import { asTextFiles, findFiles } from './modelSource.js';
import { newTokens } from './newTokens.js';
import { promptTokens } from './promptTokens.js';
import { readRows } from './readRows.js';
import type { ReadingOptions, TrainingModel } from './runOptions.js';
import type { TextPieces } from './textPieces.js';
import { textPieces } from './textPieces.js';

export interface GenerateOptions extends SamplingOptions {
  /** Default: 128, or what the model's positions leave room for. */
  readonly maxNewTokens?: number | undefined;
  /** Strings that end the text, which is cut before them. */
  readonly stop?: readonly string[] | undefined;
  /** Whether the model's generation_config.json says how tokens are drawn where nothing here does. Default true. */
  readonly generationConfig?: boolean | undefined;
  /** Ends the text. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `generateBatch`: those of `generate`, for several prompts at once. */
export interface GenerateBatchOptions extends Omit<GenerateOptions, 'signal'> {
  /** Each token as it is made, and the place of its prompt. */
  readonly onToken?: ((id: number, prompt: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ChatReplyOptions extends GenerateOptions {
  /** JSON schemas of the functions that the model may call. */
  readonly tools?: ChatOptions['tools'];
  /** Variables that the template knows, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

/** Adapters of a model have names, so that several can be loaded; the first is 'default', as in PEFT. */
export interface NamedAdapter {
  readonly name?: string | undefined;
}

export interface ModelParts {
  readonly name: string;
  readonly files: ModelFiles;
  readonly quantization: QuantizationSettings | undefined;
  readonly quantizeEmbeddings?: boolean | undefined;
  readonly kvCache?: KvCache | undefined;
  readonly network: CausalModel;
  readonly tokenizer: TextTokenizer;
  readonly template: ChatTemplate | undefined;
  readonly backend: Backend;
  readonly ownsBackend: boolean;
  /** Tokens that end any text. */
  readonly stopIds: readonly number[];
}

/** A language model on a device, with its tokenizer and chat template. {@link loadModel} makes it. */
export class Model {
  /** The source as it was given: a folder, a hub id, a URL. */
  readonly name: string;
  /** The module tree: what `@lowrank/patch`, `@lowrank/trainer` and the other packages take. */
  readonly network: CausalModel;
  tokenizer: TextTokenizer;
  readonly backend: Backend;
  /** The tokenizer's files, once tokens were added: runs save them beside what they learned. */
  tokenizerFiles: Readonly<Record<string, string>> | undefined;
  readonly #parts: ModelParts;
  #plans: Generator | undefined;
  #disposed = false;

  constructor(parts: ModelParts) {
    this.#parts = parts;
    this.name = parts.name;
    this.network = parts.network;
    this.tokenizer = parts.tokenizer;
    this.backend = parts.backend;
  }

  /** Undefined for models that were not made for chats. */
  get template(): ChatTemplate | undefined {
    return this.#parts.template;
  }

  /** Tokens of a prompt and its answer that the model's positions hold, without virtual tokens. */
  get contextLength(): number {
    return this.network.shape.maxPositions - this.network.virtualTokens;
  }

  /** The ids of a text, with what the tokenizer puts around it (such as BOS) unless `addSpecialTokens` is false. */
  tokenize(text: string, options: { readonly addSpecialTokens?: boolean } = {}): number[] {
    return this.tokenizer.encode(text, options);
  }

  /**
   * Continues a prompt, greedily unless a `temperature` is given, or the model's generation_config.json samples:
   *
   *     for await (const piece of model.generate('Once upon a time')) process.stdout.write(piece);
   *     const whole = await model.generate('Once upon a time').text();
   *
   * @throws LowrankError `models.generate`, `models.prompt`, `models.tooLong`, when the text is read
   */
  generate(prompt: string, options: GenerateOptions = {}): TextPieces {
    const { stopIds } = this.#parts;
    return this.#write(() => promptTokens(prompt, this.tokenizer), { stopIds, stopStrings: [] }, options);
  }

  /** Continues several prompts side by side, which takes little longer than the longest of them alone. */
  async generateBatch(prompts: readonly string[], options: GenerateBatchOptions = {}): Promise<string[]> {
    const { maxNewTokens, stop = [], ...others } = options;
    const { sampling, stopStrings } = await this.#settings(options);
    const ids = prompts.map((prompt) => promptTokens(prompt, this.tokenizer));
    const longest = Math.max(0, ...ids.map(({ length }) => length));
    const texts = await this.#generator().generate(ids, {
      ...others,
      ...sampling,
      maxNewTokens: maxNewTokens ?? Math.max(1, Math.min(128, this.contextLength - longest)),
      stopIds: this.#parts.stopIds,
      stopStrings: [...stopStrings, ...stop],
      text: (given) => textStream(this.tokenizer, given),
    });
    return texts.map(({ text }) => text);
  }

  /**
   * The mean loss over the label tokens of rows, with whatever adapters are active.
   *
   * @throws LowrankError what reading the rows throws
   */
  async evaluate(data: RowSource, options: ReadingOptions = {}): Promise<Evaluation> {
    const { training, backend } = this;
    const { rows } = await readRows(training, data, { options, hooks: {} });
    return evaluate({ backend, loss: training.open.loss, batches: evaluationBatches(rows) });
  }

  /**
   * Answers a chat in the model's chat template.
   *
   * @throws LowrankError `lowrank.noTemplate` where the model has none
   */
  chat(messages: readonly ChatMessage[], options: ChatReplyOptions = {}): TextPieces {
    const { template, stopIds } = this.#parts;
    const { tokenizer } = this;
    if (template === undefined) throw noTemplate(this.name);
    const { tools, variables, ...generation } = options;
    const prompt = (): number[] =>
      tokenizer.encode(renderChat(messages, { template, tools, variables, addGenerationPrompt: true }), {
        addSpecialTokens: false,
      });
    return this.#write(prompt, answerEnds(stopIds, template, tokenizer), generation);
  }

  /**
   * Puts a new LoRA adapter into the model and makes it the active one. {@link fineTune} does so by itself.
   *
   * @throws LowrankError `lora.config`, and what patch's addAdapter throws
   */
  async addAdapter(options: Partial<LoraConfig> = {}, { name = 'default' }: NamedAdapter = {}): Promise<void> {
    await this.releasePlans();
    const targetModules = options.targetModules ?? this.network.defaultTargets;
    await addAdapter(this.network, loraConfig({ ...options, targetModules }), { name });
  }

  /**
   * Puts a saved adapter into the model and makes it the active one: of LoRA under a name, of any other method as its
   * files say.
   *
   * @param source a folder (Node), hub id or URL, files, or PEFT's files as bytes by name
   * @throws LowrankError `models.noFolder`, `lora.adapterConfig`, `patch.adapterMismatch` and others of their kinds
   */
  async loadAdapter(
    source: ModelSource | LoraAdapterFiles | LoraAdapter,
    { name = 'default' }: NamedAdapter = {},
  ): Promise<void> {
    await this.releasePlans();
    if (isAdapter(source)) return void (await loadAdapter(this.network, source, { name }));
    const { files } = await findFiles(source, 'adapter');
    const { method, stored } = await readMethod(await openAdapterFolder(files));
    if (method.name === 'lora') return void (await loadAdapter(this.network, stored as LoraAdapter, { name }));
    const applied = await method.attach(this.network, stored);
    await applied.fold?.();
  }

  /** Saves a LoRA adapter as PEFT's files, all of them or none. */
  async saveAdapter(place: SavePlace, named: NamedAdapter = {}): Promise<void> {
    await saveFolder(place, await this.adapterFiles(named));
  }

  /** PEFT's files of a LoRA adapter. @throws LowrankError `patch.noAdapter` */
  async adapterFiles({ name = 'default' }: NamedAdapter = {}): Promise<MethodFiles> {
    return serializeAdapter(await saveAdapter(this.network, { name }));
  }

  /** Uses these adapters, which add up, from now on; none for the base alone. @throws LowrankError `patch.noAdapter` */
  async activateAdapter(names: string | readonly string[] = []): Promise<void> {
    await this.releasePlans();
    activateAdapter(this.network, names);
  }

  /**
   * Multiplies what an adapter adds, from now on: 1 as it was trained, 0 nothing, 2 twice as much. Nothing is compiled
   * again, and its files stay as they are.
   *
   * @throws LowrankError `patch.noAdapter`, `patch.merged`, `patch.strength`
   */
  scaleAdapter(name: string, strength: number): void {
    scaleAdapter(this.network, name, strength);
  }

  /** Takes an adapter out, or all of them, and frees it. @throws LowrankError `patch.noAdapter` */
  async removeAdapter(name?: string): Promise<void> {
    await this.releasePlans();
    removeAdapter(this.network, name);
  }

  /** Merges adapters (by default the active ones) into the weights, in place; `unmergeAdapter` takes them out again. */
  async mergeAdapter(names?: string | readonly string[]): Promise<void> {
    await this.releasePlans();
    await mergeAdapter(this.network, names);
  }

  /** @throws LowrankError `patch.notMerged` */
  async unmergeAdapter(): Promise<void> {
    await this.releasePlans();
    await unmergeAdapter(this.network);
  }

  /**
   * The model with LoRA adapters merged in, as files: a Hugging Face folder's, or one GGUF file for llama.cpp. The
   * weights are those of the model's own files, in their dtype; the model on the device stays as it is.
   *
   * @throws LowrankError what `lowrank merge` and `lowrank convert` throw
   */
  async exportFiles(
    adapters: readonly WeightedFiles[],
    options: ExportOptions = {},
  ): Promise<Readonly<Record<string, Uint8Array>>> {
    const { exportModel } = await import('./exportModel.js');
    return exportModel({ files: this.#parts.files, name: this.name, network: this.network }, adapters, options);
  }

  /**
   * Adds tokens to the tokenizer, none of them special, and rows for them to the model, which begin as the mean of the
   * others. Before adapters are put into it. A run saves tables and tokenizer beside what it learned.
   *
   * @throws LowrankError `data.addTokens`, `nn.tokens`
   */
  async addTokens(tokens: readonly string[]): Promise<void> {
    await this.releasePlans();
    const added = await newTokens(asTextFiles(this.#parts.files), this.network, tokens);
    this.tokenizer = added.tokenizer;
    this.tokenizerFiles = added.files;
  }

  /** What training takes of this model. */
  get training(): TrainingModel {
    const { name, network, files, template, backend, quantization, quantizeEmbeddings } = this.#parts;
    const { tokenizer } = this;
    return {
      open: asOpenModel(name, network, files),
      tokenizer,
      chatTemplate: () => Promise.resolve(template),
      backend: () => Promise.resolve(backend),
      quantization,
      quantizeEmbeddings,
    };
  }

  /** Frees the model, whatever was trained on it, and the device where {@link loadModel} opened it. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.releasePlans();
    this.network.dispose();
    if (this.#parts.ownsBackend) this.backend.dispose();
  }

  /** Frees the plans that texts are written with: they hold the weights and adapters that they were made over. */
  async releasePlans(): Promise<void> {
    const generator = this.#plans;
    this.#plans = undefined;
    await generator?.dispose();
  }

  #generator(): Generator {
    if (this.#disposed) throw disposed(this.name);
    return (this.#plans ??= createGenerator(this.network, { backend: this.backend, kvCache: this.#parts.kvCache }));
  }

  /** How a text is written: as the call says, else as the model's folder does. */
  async #settings(options: GenerateOptions): Promise<{ sampling: SamplingOptions; stopStrings: readonly string[] }> {
    const config = await readGenerationConfig(asTextFiles(this.#parts.files), options.generationConfig);
    return { sampling: samplingOf(samplingIn(options), config), stopStrings: config.stopStrings };
  }

  #write(prompt: () => number[], ends: TextEndings, options: GenerateOptions): TextPieces {
    const { maxNewTokens, stop = [], signal } = options;
    return textPieces(async (push, left) => {
      const ids = prompt();
      const { sampling, stopStrings } = await this.#settings(options);
      await this.#generator().generate([ids], {
        ...sampling,
        maxNewTokens: maxNewTokens ?? Math.max(1, Math.min(128, this.contextLength - ids.length)),
        stopIds: ends.stopIds,
        stopStrings: [...ends.stopStrings, ...stopStrings, ...stop],
        text: (given) => textStream(this.tokenizer, given),
        onText: push,
        signal: signal === undefined ? left : AbortSignal.any([signal, left]),
      });
    });
  }
}

/** What patch loads as it is: an adapter on the host, or its files as bytes by name. */
function isAdapter(source: unknown): source is LoraAdapter | LoraAdapterFiles {
  if (typeof source !== 'object' || source === null) return false;
  return 'layers' in source || 'adapter_config.json' in source;
}

function noTemplate(name: string): LowrankError {
  return new LowrankError({
    code: 'lowrank.noTemplate',
    what: `the model ${name}`,
    expected: 'a chat template: chat_template.jinja, or "chat_template" in tokenizer_config.json',
    got: 'none, as base models have none',
    remedy: 'Use generate(), or give a template: loadModel(source, { template }).',
  });
}

function disposed(name: string): LowrankError {
  return new LowrankError({
    code: 'lowrank.disposed',
    what: `the model ${name}`,
    expected: 'a model in use',
    got: 'a disposed one',
    remedy: 'Load it again.',
  });
}
