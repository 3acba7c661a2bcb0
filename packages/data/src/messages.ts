import type { ChatMessage } from './chatTemplate.js';

/** What ShareGPT calls those who speak, and what chat templates call them. */
const shareGptRoles: Readonly<Record<string, string>> = { human: 'user', gpt: 'assistant' };

/**
 * A list of messages as a row has it, with `from` and `value` (ShareGPT) in place of `role` and `content` where the
 * messages have those; undefined where it is none, or is empty.
 */
export function messagesOf(value: unknown): readonly ChatMessage[] | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const messages = value.map(messageOf);
  return messages.every((message) => message !== undefined) ? messages : undefined;
}

function messageOf(value: unknown): ChatMessage | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const message = value as Readonly<Record<string, unknown>>;
  if (typeof message['role'] === 'string') return message as ChatMessage;
  const { from, value: content, ...others } = message;
  if (typeof from !== 'string') return undefined;
  const role = Object.hasOwn(shareGptRoles, from) ? shareGptRoles[from] : undefined;
  return { ...others, role: role ?? from, content: content as ChatMessage['content'] };
}
