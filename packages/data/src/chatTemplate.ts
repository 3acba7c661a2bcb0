import { LowrankError, shown } from '@lowrank/errors';
import type { ChatMessage, ChatOptions, ChatTemplate, RenderedChat } from './chat.js';
import { Template, TemplateRefusal } from './jinja/template.js';

/** Options of `chatTemplate`: its name in errors, and special tokens. */
export interface ChatTemplateOptions {
  /** Its name in errors; `the chat template` by default. */
  readonly name?: string;
  /** The tokenizer's variables: `bos_token`, `eos_token` and the like. */
  readonly specialTokens?: Readonly<Record<string, string>>;
}

const marks = /\{%[-+]?\s*generation\s*[-+]?%\}/;
const reasoningKeys = ['reasoning_content', 'thinking', 'reasoning'];
const tag = 'CONTINUE_FINAL_MESSAGE_TAG ';

/**
 * A chat template in Jinja: one, or several by name, of which `tool_use` serves chats with tools and `default` all
 * others, as in transformers.
 *
 * @throws LowrankError `data.chatTemplate` where the template's syntax is not known
 */
export function chatTemplate(
  source: string | Readonly<Record<string, string>>,
  { name = 'the chat template', specialTokens = {} }: ChatTemplateOptions = {},
): ChatTemplate {
  return new JinjaTemplate(source, name, specialTokens);
}

class JinjaTemplate implements ChatTemplate {
  private readonly compiled = new Map<string, Template>();

  constructor(
    private readonly source: string | Readonly<Record<string, string>>,
    readonly name: string,
    private readonly specialTokens: Readonly<Record<string, string>>,
  ) {
    // Syntax errors come now, and not with the first chat.
    for (const text of typeof source === 'string' ? [source] : Object.values(source)) this.compile(text);
  }

  marksGeneration(options: Pick<ChatOptions, 'tools'> = {}): boolean {
    return marks.test(sourceFor(this.source, options, this.name));
  }

  render(messages: readonly ChatMessage[], options: ChatOptions = {}): RenderedChat {
    const { name } = this;
    const text = sourceFor(this.source, options, name);
    const chat = messages.map((message) => withReasoning(withoutNulls(checkedMessage(message, name))));
    const field = options.continueFinalMessage === true ? 'content' : options.continueFinalMessage;
    const ending = typeof field === 'string' ? markEnding({ chat, field, template: text, name }) : undefined;
    const whole = this.fill(text, chat, options);
    return ending === undefined ? whole : cutAtTag(whole, ending, name);
  }

  private fill(template: string, messages: readonly Record<string, unknown>[], options: ChatOptions): RenderedChat {
    const variables = {
      ...this.specialTokens,
      ...options.variables,
      messages,
      tools: options.tools ?? null,
      documents: options.documents ?? null,
      add_generation_prompt: options.addGenerationPrompt ?? false,
    };
    try {
      return this.compile(template).render(variables, options.now ?? new Date());
    } catch (cause) {
      const expected =
        cause instanceof TemplateRefusal
          ? 'a chat that the template takes'
          : 'a chat that the template can be rendered with';
      throw new LowrankError({ code: 'data.chat', what: this.name, expected, got: messageOf(cause), cause });
    }
  }

  private compile(text: string): Template {
    const known = this.compiled.get(text);
    if (known !== undefined) return known;
    try {
      const made = new Template(text);
      this.compiled.set(text, made);
      return made;
    } catch (cause) {
      throw new LowrankError({
        code: 'data.chatTemplate',
        what: this.name,
        expected: 'a Jinja template as jinja2 reads it',
        got: messageOf(cause),
        cause,
      });
    }
  }
}

function sourceFor(
  source: string | Readonly<Record<string, string>>,
  { tools }: Pick<ChatOptions, 'tools'>,
  name: string,
): string {
  if (typeof source === 'string') return source;
  const found = tools !== undefined && source['tool_use'] !== undefined ? source['tool_use'] : source['default'];
  if (found !== undefined) return found;
  throw new LowrankError({
    code: 'data.chatTemplate',
    what: name,
    expected: 'a template by the name of default',
    got: Object.keys(source).join(', '),
  });
}

function checkedMessage(message: ChatMessage, name: string): ChatMessage {
  if (typeof message === 'object' && message !== null && typeof message.role === 'string') return message;
  throw new LowrankError({
    code: 'data.chat',
    what: `a message for ${name}`,
    expected: 'an object with a role',
    got: shown(message),
  });
}

/** Keys whose value is null are dropped, as in transformers: OpenAI writes `"content": null` beside tool calls. */
function withoutNulls(message: ChatMessage): ChatMessage {
  const kept = Object.entries(message).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(kept) as ChatMessage;
}

/** Reasoning goes by several names: the template finds it under the one it reads. */
function withReasoning(message: ChatMessage): Record<string, unknown> {
  const reasoning = reasoningKeys.map((key) => message[key]).find((value) => value !== undefined && value !== null);
  return reasoning === undefined ? { ...message } : { thinking: reasoning, ...message, reasoning_content: reasoning };
}

/** Puts a tag behind the text that is to be continued, in every key that holds it; returns the text. */
function markEnding({
  chat,
  field,
  template,
  name,
}: {
  chat: Record<string, unknown>[];
  field: string;
  template: string;
  name: string;
}): string {
  const refuse = (expected: string, got: string): never => {
    throw new LowrankError({ code: 'data.chat', what: `${name} with continueFinalMessage`, expected, got });
  };
  const last = chat.at(-1) ?? refuse('a chat of at least one message', 'none');
  const value = last[field] ?? refuse(`a final message with "${field}"`, `keys ${Object.keys(last).join(', ')}`);
  const keys = reasoningKeys.includes(field) ? reasoningKeys.filter((key) => last[key] === value) : [field];
  if (!keys.some((key) => template.includes(key))) refuse('a key that the template reads', field);
  if (typeof value === 'string') {
    for (const key of keys) last[key] = value + tag;
    return value;
  }
  const parts = Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>[])
    : refuse('text or parts of text', typeof value);
  const at = parts.findLastIndex((part) => typeof part['text'] === 'string');
  const text = at < 0 ? refuse('a part with text in the final message', 'none') : String(parts[at]?.['text']);
  last[field] = parts.map((part, index) => (index === at ? { ...part, text: text + tag } : part));
  return text;
}

function cutAtTag({ text, generated }: RenderedChat, ending: string, name: string): RenderedChat {
  const at = text.lastIndexOf(tag.trim());
  if (at < 0 || !text.includes(ending.trim())) {
    throw new LowrankError({
      code: 'data.chat',
      what: `${name} with continueFinalMessage`,
      expected: 'the final message within the rendered chat',
      got: 'a template that leaves it out or changes it',
    });
  }
  const kept = text.startsWith(tag, at) ? text.slice(0, at) : text.slice(0, at).trimEnd();
  return {
    text: kept,
    generated: generated.map(({ start, end }) => ({
      start: Math.min(start, kept.length),
      end: Math.min(end, kept.length),
    })),
  };
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
