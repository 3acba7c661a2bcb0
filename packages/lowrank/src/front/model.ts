import type { ChatMessage, ChatOptions, ChatTemplate, TextTokenizer } from '@lowrank/data';
import { renderChat, textStream } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { CausalModel, Generator, SamplingOptions } from '@lowrank/models';
import { createGenerator } from '@lowrank/models';
import type { Backend } from '@lowrank/tensor';
import type { TextEndings } from './answerEnds.js';
import { answerEnds } from './answerEnds.js';
import type { TextPieces } from './textPieces.js';
import { textPieces } from './textPieces.js';

export interface GenerateOptions extends SamplingOptions {
  /** Default: 128, or what the model's positions leave room for. */
  readonly maxNewTokens?: number | undefined;
  /** Strings that end the text, which is cut before them. */
  readonly stop?: readonly string[] | undefined;
  /** Ends the text. */
  readonly signal?: AbortSignal | undefined;
}

export interface ChatReplyOptions extends GenerateOptions {
  /** JSON schemas of the functions that the model may call. */
  readonly tools?: ChatOptions['tools'];
  /** Variables that the template knows, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

export interface ModelParts {
  readonly name: string;
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
  readonly tokenizer: TextTokenizer;
  readonly backend: Backend;
  readonly #parts: ModelParts;
  #generator: Generator | undefined;
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

  /** Tokens of a prompt and its answer that the model's positions hold, beside virtual tokens. */
  get contextLength(): number {
    return this.network.shape.maxPositions - this.network.virtualTokens;
  }

  /** The ids of a text, with what the tokenizer puts around it (such as BOS) unless `addSpecialTokens` is false. */
  tokenize(text: string, options: { readonly addSpecialTokens?: boolean } = {}): number[] {
    return this.tokenizer.encode(text, options);
  }

  /**
   * Continues a prompt, greedily unless a `temperature` is given:
   *
   *     for await (const piece of model.generate('Once upon a time', { maxNewTokens: 64 })) process.stdout.write(piece);
   *     const whole = await model.generate('Once upon a time').text();
   *
   * @throws LowrankError `models.generate`, `models.prompt`, `models.tooLong`, when the text is read
   */
  generate(prompt: string, options: GenerateOptions = {}): TextPieces {
    const { stopIds } = this.#parts;
    return this.#write(() => this.#promptIds(prompt), { stopIds, stopStrings: [] }, options);
  }

  /**
   * Answers a chat in the model's chat template.
   *
   * @throws LowrankError `lowrank.noTemplate` where the model has none
   */
  chat(messages: readonly ChatMessage[], options: ChatReplyOptions = {}): TextPieces {
    const { tokenizer, template, stopIds } = this.#parts;
    if (template === undefined) throw noTemplate(this.name);
    const { tools, variables, ...generation } = options;
    const prompt = (): number[] =>
      tokenizer.encode(renderChat(messages, { template, tools, variables, addGenerationPrompt: true }), {
        addSpecialTokens: false,
      });
    return this.#write(prompt, answerEnds(stopIds, template, tokenizer), generation);
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
    const generator = this.#generator;
    this.#generator = undefined;
    await generator?.dispose();
  }

  #write(prompt: () => number[], ends: TextEndings, options: GenerateOptions): TextPieces {
    const { maxNewTokens, stop = [], signal, ...sampling } = options;
    return textPieces(async (push, left) => {
      if (this.#disposed) throw disposed(this.name);
      const ids = prompt();
      this.#generator ??= createGenerator(this.network, { backend: this.backend });
      await this.#generator.generate([ids], {
        ...sampling,
        maxNewTokens: maxNewTokens ?? Math.max(1, Math.min(128, this.contextLength - ids.length)),
        stopIds: ends.stopIds,
        stopStrings: [...ends.stopStrings, ...stop],
        text: (given) => textStream(this.tokenizer, given),
        onText: push,
        signal: signal === undefined ? left : AbortSignal.any([signal, left]),
      });
    });
  }

  /** BOS where the tokenizer adds one, then the text, and nothing behind it: as rows are made for training. */
  #promptIds(text: string): number[] {
    const { bosId, addsBos } = this.tokenizer;
    if (text === '' && bosId !== undefined) return [bosId];
    const ids = this.tokenizer.encode(text, { addSpecialTokens: false });
    return addsBos && bosId !== undefined ? [bosId, ...ids] : ids;
  }
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
