import type { ChatMessage, ChatOptions } from './chat.js';

/** What is said: a text, or messages of a chat. */
export type Turns = string | readonly ChatMessage[];

/** What a row says beside its messages. */
interface ChatContext {
  readonly tools?: ChatOptions['tools'];
  /** The row's `chat_template_kwargs`: variables for the template, such as `enable_thinking`. */
  readonly variables?: ChatOptions['variables'];
}

/** A row to learn a completion from: the loss is on the completion and EOS. */
export interface PromptRow extends Labelled {
  readonly line: number;
  readonly prompt: string;
  readonly completion: string;
}

interface Labelled {
  /** KTO's: whether the completion is a good one. There only where rows are read for it. */
  readonly label?: boolean;
}

/** A row to learn whole. */
export interface PlainRow {
  readonly line: number;
  readonly text: string;
}

/** A chat, of which what assistants say is to be learned, or a prompt and a completion that are lists of messages. */
export interface ChatRow extends ChatContext, Labelled {
  readonly line: number;
  readonly messages: readonly ChatMessage[];
  /** How many of the messages, from the first, are the prompt, where the row says so: what follows is learned. */
  readonly promptMessages?: number;
}

/** Two completions of a prompt, of which one is better: for DPO, ORPO and SimPO. All texts, or all messages. */
export interface PreferenceRow extends ChatContext {
  readonly line: number;
  readonly prompt: Turns;
  readonly chosen: Turns;
  readonly rejected: Turns;
}

/** One row of a data file; `line` counts from 1. */
export type TextRow = PromptRow | PlainRow | ChatRow | PreferenceRow;

/** Whether text is made of a row by a chat template. */
export function isChat(row: TextRow): boolean {
  return 'messages' in row || ('chosen' in row && typeof row.prompt !== 'string');
}

/** What is wrong with a row. */
export interface RowProblem {
  readonly line: number;
  readonly code: string;
  readonly expected: string;
  readonly got: string;
}
