import { shown } from '@lowrank/errors';
import { alpacaPrompt } from './alpaca.js';
import type { ChatMessage } from './chat.js';
import { messagesOf, messageOf } from './messages.js';
import { implicitPrompt } from './implicitPrompt.js';
import { parseJsonWithFloats } from './jsonFloats.js';
import type { ChatRow, PromptRow, Turns } from './textRow.js';

/** A row's values by key. */
export type Keys = Readonly<Record<string, unknown>>;

/** A value that its form cannot take; caught where rows are read. */
export class WrongValue extends Error {
  constructor(
    readonly code: string,
    readonly expected: string,
    readonly got: string,
  ) {
    super(expected);
  }
}

function wrong(key: string, expected: string, value: unknown): never {
  throw new WrongValue('data.rowType', `${expected} as "${key}"`, shown(value, 60));
}

export function textIn(row: Keys, key: string): string {
  const value = row[key];
  return typeof value === 'string' ? value : wrong(key, 'a string', value);
}

export function messagesIn(row: Keys, key: string): readonly ChatMessage[] {
  return messagesOf(row[key]) ?? wrong(key, 'a list of objects with a "role"', row[key]);
}

export function conversationIn(row: Keys): readonly ChatMessage[] {
  const turns =
    messagesOf(row['conversations']) ??
    wrong('conversations', 'a list of objects with "from" and "value"', row['conversations']);
  const system = row['system'] ?? '';
  if (typeof system !== 'string') return wrong('system', 'a string', system);
  return system === '' ? turns : [{ role: 'system', content: system }, ...turns];
}

/** Text, or messages, where a list is one. */
function turnsIn(row: Keys, key: string): Turns {
  return Array.isArray(row[key]) ? messagesIn(row, key) : textIn(row, key);
}

export function sidesOf(row: Keys): Sides {
  if (Array.isArray(row['prompt']) || Array.isArray(row['completion'])) {
    const [prompt, completion] = [messagesIn(row, 'prompt'), messagesIn(row, 'completion')];
    return { messages: [...prompt, ...completion], promptMessages: prompt.length, ...contextOf(row) };
  }
  return { prompt: textIn(row, 'prompt'), completion: textIn(row, 'completion') };
}

/** Prompt and completion, as texts or as messages. */
type Sides = Omit<PromptRow, 'line' | 'label'> | Omit<ChatRow, 'line' | 'label'>;

/** The last message is the completion, what it answers the prompt. */
export function lastAnswer(messages: readonly ChatMessage[]): Pick<ChatRow, 'messages' | 'promptMessages'> {
  if (messages.length < 2) return wrong('messages', 'a question and an answer', messages);
  return { messages, promptMessages: messages.length - 1 };
}

export function labelOf(row: Keys): boolean {
  const { label } = row;
  if (label === 1 || label === 0) return label === 1;
  const word = typeof label === 'string' ? label.toLowerCase() : label;
  if (word === true || word === 'true' || word === '1') return true;
  return word === false || word === 'false' || word === '0' ? false : wrong('label', 'true or false', label);
}

/**
 * Two answers and their prompt. The prompt is what both begin with where none is given, or where it is a text beside
 * messages, which repeat it: as in TRL. LLaMA-Factory's answers are one message each, behind `conversations`.
 */
export function pairOf(row: Keys): { readonly prompt: Turns; readonly chosen: Turns; readonly rejected: Turns } {
  const turns = (key: string): Turns => {
    const message = messageOf(row[key]);
    return message === undefined ? turnsIn(row, key) : [message];
  };
  const [chosen, rejected] = [turns('chosen'), turns('rejected')];
  if (typeof chosen !== typeof rejected)
    return wrong('rejected', typeof chosen === 'string' ? 'a string' : 'a list of messages', row['rejected']);
  if (messageOf(row['chosen']) !== undefined) {
    const key = ['prompt', 'conversations', 'messages'].find((name) => Array.isArray(row[name])) ?? 'prompt';
    return { prompt: key === 'conversations' ? conversationIn(row) : messagesIn(row, key), chosen, rejected };
  }
  const given = row['prompt'] ?? undefined;
  const prompt = given === undefined ? undefined : turnsIn(row, 'prompt');
  if (prompt !== undefined && typeof prompt === typeof chosen) return { prompt, chosen, rejected };
  if (prompt !== undefined && typeof chosen === 'string')
    return wrong('chosen', 'a list of messages, since "prompt" is one,', row['chosen']);
  const found = implicitPrompt(chosen, rejected);
  return found.prompt.length > 0 ? found : wrong('chosen', 'a "prompt", or what "rejected" begins with too', chosen);
}

export function alpacaOf(row: Keys): { readonly prompt: string; readonly completion: string } {
  for (const key of ['system', 'history']) {
    const value = row[key] ?? '';
    if (value !== '' && !(Array.isArray(value) && value.length === 0))
      return wrong(key, 'nothing (give rows with it as "messages")', value);
  }
  const input = row['input'] === undefined || row['input'] === null ? '' : textIn(row, 'input');
  return { prompt: alpacaPrompt(textIn(row, 'instruction'), input), completion: textIn(row, 'output') };
}

export function contextOf(row: Keys): Pick<ChatRow, 'tools' | 'variables'> {
  const tools = parsedTools(row['tools']);
  if (tools !== undefined && !Array.isArray(tools)) return wrong('tools', 'a list of JSON schemas', tools);
  const variables = row['chat_template_kwargs'] ?? undefined;
  if (variables !== undefined && (typeof variables !== 'object' || Array.isArray(variables)))
    return wrong('chat_template_kwargs', 'an object', variables);
  return {
    ...(tools === undefined ? {} : { tools: tools as readonly Keys[] }),
    ...(variables === undefined ? {} : { variables: variables as Keys }),
  };
}

/** Tools may be JSON within a string, for data sets whose columns have one type; an empty one is none. */
function parsedTools(tools: unknown): unknown {
  if (tools === null || tools === '') return undefined;
  if (typeof tools !== 'string') return tools;
  try {
    return parseJsonWithFloats(tools) ?? undefined;
  } catch {
    return tools;
  }
}
