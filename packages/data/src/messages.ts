import type { ChatMessage } from './chat.js';
import { parseJsonWithFloats } from './jsonFloats.js';

/** ShareGPT's names of those who speak; others stay as they are. */
const roles: Readonly<Record<string, string>> = {
  human: 'user',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bing: 'assistant',
  bard: 'assistant',
  model: 'assistant',
  observation: 'tool',
  function_response: 'tool',
  tool_response: 'tool',
};

/**
 * Messages as chat templates take them. ShareGPT's `{"from", "value"}` becomes `{"role", "content"}`: `human` is the
 * user, `gpt` the assistant, `observation` a tool's answer, and a `function_call` an assistant's message with
 * `tool_calls` (TRL renames the keys alone). Parts of content that LLaMA-Factory writes as `{"type": "text", "value"}`
 * become one text.
 *
 * @returns undefined for what is no list of messages, or an empty one
 */
export function messagesOf(value: unknown): readonly ChatMessage[] | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const messages = value.map(messageOf);
  return messages.every((message) => message !== undefined) ? messages : undefined;
}

/** A message, by whatever keys; undefined for what is none. */
export function messageOf(value: unknown): ChatMessage | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const given = value as Readonly<Record<string, unknown>>;
  if (typeof given['role'] === 'string') return withText(given as ChatMessage);
  const { from, value: content, ...others } = given;
  if (typeof from !== 'string' || typeof content !== 'string') return undefined;
  if (from === 'function_call') return { ...others, role: 'assistant', content: '', tool_calls: callsIn(content) };
  return { ...others, role: Object.hasOwn(roles, from) ? (roles[from] ?? from) : from, content };
}

/** A list whose first item is ShareGPT's message. */
export function isFromValue(value: unknown): boolean {
  const first: unknown = Array.isArray(value) ? value[0] : undefined;
  return typeof first === 'object' && first !== null && 'from' in first && 'value' in first;
}

function withText(message: ChatMessage): ChatMessage {
  const { content } = message;
  if (!Array.isArray(content) || content.length === 0) return message;
  const texts = content.map((part: unknown) =>
    typeof part === 'object' && part !== null && 'value' in part && !('text' in part) ? part.value : undefined,
  );
  return texts.every((text) => typeof text === 'string') ? { ...message, content: texts.join('') } : message;
}

/** The calls of a `function_call`: JSON of one, or of a list; any other text is a call of nothing known. */
function callsIn(text: string): readonly object[] {
  const functionOf = (call: unknown): object => ({ type: 'function', function: call });
  try {
    const calls: unknown = parseJsonWithFloats(text);
    return (Array.isArray(calls) ? calls : [calls]).map(functionOf);
  } catch {
    return [functionOf({ name: text, arguments: {} })];
  }
}
