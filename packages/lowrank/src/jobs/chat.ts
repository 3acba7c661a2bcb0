import type { ChatMessage, ChatTemplate, TextTokenizer } from '@lowrank/data';
import { readChatTemplate, readTokenizer, renderChat, textStream } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter } from '@lowrank/lora';
import type { KvCache, SamplingOptions } from '@lowrank/models';
import { backendOnce } from '../device.js';
import type { BackendOrOpener } from '../device.js';
import type { TextEndings } from '../front/answerEnds.js';
import { answerEnds, endIds } from '../front/answerEnds.js';
import { readGenerationConfig, samplingIn, samplingNote, samplingOf } from '../front/generationConfig.js';
import type { AdapterSwitch } from './adapterSwitch.js';
import { openAdapterSwitch } from './adapterSwitch.js';
import type { TransferEvents } from './folders.js';
import { withFolders } from './folders.js';
import { tokenizerFiles } from './tokenizerFiles.js';
import { openModel } from './openModel.js';
import type { OpenModel } from './openModel.js';
import type { QuantizationOptions } from './quantization.js';
import { readLoraFolder } from '../adapterFolder.js';
import { modelTexts } from './modelTexts.js';
import { refuseEncoder } from './refuseEncoder.js';

export interface ChatFolderOptions extends TransferEvents, QuantizationOptions, SamplingOptions {
  readonly backend: BackendOrOpener;
  readonly model: string;
  /** PEFT folders by the name that they are called in the chat; the first is used first. */
  readonly adapters?: Readonly<Record<string, string>>;
  /** A Jinja file in place of the model's own chat template. */
  readonly template?: string;
  /** Variables that the template knows, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
  readonly system?: string;
  /** Of one answer; default 512, or what the model's positions leave room for. */
  readonly maxNewTokens?: number;
  /** What keys and values are kept in. Default: f16 in mixed precision, else f32. */
  readonly kvCache?: KvCache | undefined;
  /** Strings that end an answer, besides the end of a turn in the template. */
  readonly stop?: readonly string[];
  /** Whether the folder's generation_config.json says how tokens are drawn where nothing here does. Default true. */
  readonly generationConfig?: boolean;
  /** How tokens are drawn where neither these options nor the folder say. Default: the likeliest are taken. */
  readonly otherwise?: SamplingOptions;
}

/** Options of one turn of a chat. */
export interface AnswerOptions {
  readonly onText?: (piece: string) => void;
  /** Ends the answer; what was said stays said. */
  readonly signal?: AbortSignal;
}

/** What the model said in one turn. */
export interface Answer {
  readonly text: string;
  readonly ids: readonly number[];
  readonly endedBy: 'token' | 'string' | 'length' | 'signal';
  /** Earlier turns that were left out, since the model's positions did not hold them. */
  readonly forgotten: number;
}

/** A conversation with a model. */
export interface ChatSession {
  readonly messages: readonly ChatMessage[];
  /** Names to choose from. */
  readonly adapters: readonly string[];
  /** undefined: the base model alone. */
  readonly adapter: string | undefined;
  /** @throws LowrankError `cli.noAdapter` */
  use(adapter: string | undefined): void;
  /** Forgets the turns; the system message stays. */
  reset(): void;
  /** Sets the system message, or takes it away, and forgets the turns. */
  system(text: string | undefined): void;
  /** A user's turn and the model's. A turn that fails is not kept. */
  say(text: string, options?: AnswerOptions): Promise<Answer>;
  dispose(): Promise<void>;
}

/**
 * Opens a chat with a model folder. All adapters share one bank, one generator and its plans: switching compiles
 * nothing. What one adapter has read and written is read again by another.
 *
 * @throws LowrankError `cli.noTemplate` where the model has no chat template and none is given; of those that write no
 * text `models.encoder`
 */
export async function openChat(given: ChatFolderOptions): Promise<ChatSession> {
  const options = await withFolders(given, given);
  const places = new Map<string, string>();
  for (const [name, place] of Object.entries(options.adapters ?? {}))
    places.set(name, (await withFolders({ model: options.model, adapter: place }, options)).adapter);
  // Several adapters share the model's tokenizer.
  const texts = await tokenizerFiles(options.model, places.size === 1 ? [...places.values()][0] : undefined);
  const template = await readChatTemplate(texts, { file: options.template });
  if (template === undefined) {
    await refuseEncoder(options.model, 'Ask it with `lowrank predict`.');
    throw noTemplate(options.model);
  }
  const tokenizer = await readTokenizer(texts);
  for (const text of tokenizer.warnings) options.onWarning?.(text);
  const backend = backendOnce(options.backend);
  const model = await openModel(options.model, { ...options, backend });
  const adapters = new Map<string, LoraAdapter>();
  for (const [name, place] of places) adapters.set(name, await readLoraFolder(place, options.onWarning));
  const ends = answerEnds(await endIds(tokenizer, model.module, modelTexts(model.folder)), template, tokenizer);
  const config = await readGenerationConfig(modelTexts(model.folder), options.generationConfig);
  for (const text of [...config.warnings, ...samplingNote(config, options)]) options.onWarning?.(text);
  const sampling = samplingOf(samplingIn(options), config, options.otherwise);
  const writer = await openAdapterSwitch(model, adapters, { backend: await backend(), kvCache: options.kvCache });
  return new Chat({
    ...options,
    ...sampling,
    stop: [...config.stopStrings, ...(options.stop ?? [])],
    tokenizer,
    chatTemplate: template,
    openedModel: model,
    adapterNames: [...adapters.keys()],
    ...ends,
    writer,
  });
}

interface ChatParts extends Omit<ChatFolderOptions, 'template'>, TextEndings {
  readonly tokenizer: TextTokenizer;
  readonly chatTemplate: ChatTemplate;
  readonly openedModel: OpenModel;
  readonly adapterNames: readonly string[];
  readonly writer: AdapterSwitch;
}

class Chat implements ChatSession {
  messages: ChatMessage[] = [];
  adapter: string | undefined;
  readonly adapters: readonly string[];
  private turn = 0;

  constructor(private readonly parts: ChatParts) {
    this.adapters = parts.adapterNames;
    this.adapter = this.adapters[0];
    this.system(parts.system);
  }

  use(adapter: string | undefined): void {
    if (adapter !== undefined && !this.adapters.includes(adapter)) {
      throw new LowrankError({
        code: 'cli.noAdapter',
        what: `the adapter ${adapter}`,
        expected:
          this.adapters.length === 0
            ? 'none, since the chat was opened without adapters'
            : `one of ${this.adapters.join(', ')}, or none`,
        got: 'an unknown name',
        remedy: 'Give adapters as --adapter name=FOLDER.',
      });
    }
    this.adapter = adapter;
  }

  reset(): void {
    this.messages = this.messages.filter(({ role }) => role === 'system');
  }

  system(text: string | undefined): void {
    this.messages = text === undefined || text === '' ? [] : [{ role: 'system', content: text }];
  }

  async say(text: string, { onText, signal }: AnswerOptions = {}): Promise<Answer> {
    const {
      tokenizer,
      openedModel,
      stopIds,
      stopStrings,
      stop = [],
      seed = 0,
      temperature,
      topK,
      topP,
      minP,
      repetitionPenalty,
    } = this.parts;
    const wanted = this.parts.maxNewTokens ?? Math.min(512, Math.floor(openedModel.contextLength / 2));
    const { messages, prompt, forgotten } = this.fit([...this.messages, { role: 'user', content: text }], wanted);
    const maxNewTokens = Math.min(wanted, openedModel.contextLength - prompt.length);
    const [answer] = await this.parts.writer.generate(this.adapter, [prompt], {
      temperature,
      topK,
      topP,
      minP,
      repetitionPenalty,
      seed: (seed + this.turn++) % 2 ** 32,
      maxNewTokens,
      stopIds,
      stopStrings: [...stopStrings, ...stop],
      text: (ids) => textStream(tokenizer, ids),
      onText: (piece) => onText?.(piece),
      signal,
    });
    const { text: said, ids, endedBy } = answer ?? { text: '', ids: [], endedBy: 'length' as const };
    this.messages = [...messages, { role: 'assistant', content: said }];
    return { text: said, ids, endedBy, forgotten };
  }

  async dispose(): Promise<void> {
    await this.parts.writer.dispose();
    this.parts.openedModel.module.dispose();
  }

  /** The chat as tokens; while it leaves too little room for an answer, the oldest turn of user and assistant goes. */
  private fit(
    messages: readonly ChatMessage[],
    wanted: number,
  ): { messages: readonly ChatMessage[]; prompt: number[]; forgotten: number } {
    const { tokenizer, chatTemplate, openedModel, variables } = this.parts;
    let kept = messages;
    for (let forgotten = 0; ; forgotten++) {
      const prompt = tokenizer.encode(
        renderChat(kept, { template: chatTemplate, addGenerationPrompt: true, variables }),
        { addSpecialTokens: false },
      );
      const least = Math.min(wanted, Math.max(1, Math.floor(openedModel.contextLength / 4)));
      if (prompt.length + least <= openedModel.contextLength) return { messages: kept, prompt, forgotten };
      const first = kept.findIndex(({ role }) => role !== 'system');
      const next = kept.findIndex(({ role }, at) => at > first && role === 'user');
      if (next < 0)
        throw new LowrankError({
          code: 'cli.chatTooLong',
          what: 'this message',
          expected:
            `at most ${openedModel.contextLength - least} tokens, so that ${least} of the model's ` +
            `${openedModel.contextLength} positions are left for the answer`,
          got: String(prompt.length),
          remedy: 'Shorten the message or the system message.',
        });
      kept = [...kept.slice(0, first), ...kept.slice(next)];
    }
  }
}

function noTemplate(folder: string): LowrankError {
  return new LowrankError({
    code: 'cli.noTemplate',
    what: `the model ${folder}`,
    expected: 'a chat template: chat_template.jinja, or "chat_template" in tokenizer_config.json',
    got: 'none, as base models have none',
    remedy:
      "Give one with --template FILE, such as the chat_template.jinja of the model's instruct variant; or " +
      'use `lowrank generate`.',
  });
}
