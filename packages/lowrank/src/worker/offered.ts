import type { ModelSource } from '../front/modelSource.js';
import type { ChatReplyOptions, GenerateOptions } from '../front/model.js';
import type {
  PlainCalls,
  RemoteFineTuneOptions,
  RemoteLoadOptions,
  RemoteLoadTaskOptions,
  RemoteModel,
  RemoteRun,
  RemoteTaskedModel,
  Trainer,
} from './remote.js';
import type { ChatMessage } from '@lowrank/data';

// What the worker offers the page over the channel; the page makes a Trainer of it.

/** What a text continues: a prompt, or a chat with its options. */
export type TextRequest =
  | { readonly prompt: string; readonly options: GenerateOptions }
  | { readonly messages: readonly ChatMessage[]; readonly options: ChatReplyOptions };

export interface OfferedTraining {
  /** Resolves at the end of the training. */
  readonly finished: () => Promise<RemoteRun>;
  readonly stop: () => void;
  readonly pause: () => Promise<number | undefined>;
  readonly resume: () => void;
}

/** A model that can be trained. */
interface Trainable {
  readonly fineTune: (options: RemoteFineTuneOptions) => OfferedTraining;
}

export interface OfferedModel extends Omit<RemoteModel, 'generate' | 'chat'>, Trainable {
  /** Hands pieces on as they are made, several at once where the page is slow. */
  readonly write: (request: TextRequest, onText: (text: string) => unknown) => Promise<void>;
}

export interface OfferedTaskedModel extends RemoteTaskedModel, Trainable {}

/** What the worker offers, as it sees it. */
export interface Offered extends PlainCalls, Pick<Trainer, 'openStorage' | 'checkFit'> {
  readonly loadModel: (source: ModelSource, options: RemoteLoadOptions) => Promise<OfferedModel>;
  readonly loadTaskedModel: (source: ModelSource, options: RemoteLoadTaskOptions) => Promise<OfferedTaskedModel>;
  /** Holds a Web Lock for as long as the worker lives; resolves when it has it. */
  readonly holdLock: (name: string) => Promise<void>;
}

/** An object of functions as the page has it: all of them are asynchronous there. */
export type Received<T> = T extends Offered | OfferedModel | OfferedTaskedModel | OfferedTraining
  ? {
      readonly [Name in keyof T]: T[Name] extends (...args: infer Args) => infer Result
        ? (...args: Args) => Promise<Received<Awaited<Result>>>
        : T[Name];
    }
  : T;
