import type { TextSpan } from './tokenizers/pipeline.js';

/**
 * One turn, as Hugging Face writes it; templates may look at other keys, such as `tool_calls`, `reasoning_content` or
 * `name`.
 */
export interface ChatMessage {
  readonly role: string;
  readonly content?: string | readonly Readonly<Record<string, unknown>>[] | null;
  readonly [key: string]: unknown;
}

/** What a chat template may be given beside the messages. */
export interface ChatOptions {
  /** JSON schemas of functions. */
  readonly tools?: readonly Readonly<Record<string, unknown>>[];
  readonly documents?: readonly Readonly<Record<string, unknown>>[];
  /** Adds the beginning of an assistant's turn at the end. */
  readonly addGenerationPrompt?: boolean;
  /** Ends within the last message, for it to be continued; a string names the message's key (default: content). */
  readonly continueFinalMessage?: boolean | string;
  /** The time that `strftime_now` formats; default: now. */
  readonly now?: Date;
  /** Others that the template knows, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** What a chat template made of messages. */
export interface RenderedChat {
  readonly text: string;
  /** What the template marks with `{% generation %}`. */
  readonly generated: readonly TextSpan[];
}

/** A chat template in Jinja, ready to render. */
export interface ChatTemplate {
  /** Its name in errors. */
  readonly name: string;
  /** Whether what assistants wrote is marked with `{% generation %}`. */
  marksGeneration(options?: Pick<ChatOptions, 'tools'>): boolean;
  /** @throws LowrankError `data.chat` where the template refuses the chat or fails on it */
  render(messages: readonly ChatMessage[], options?: ChatOptions): RenderedChat;
}

/** Renders a chat as transformers' `apply_chat_template(tokenize=False)` does. */
export function renderChat(
  messages: readonly ChatMessage[],
  options: ChatOptions & { readonly template: ChatTemplate },
): string {
  return options.template.render(messages, options).text;
}
