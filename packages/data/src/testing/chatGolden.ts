import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { encodeChat } from '../chatEncode.js';
import { renderChat } from '../chat.js';
import { chatTemplate } from '../chatTemplate.js';
import type { ChatMessage, ChatOptions, ChatTemplate } from '../chat.js';
import { complaint } from '../testing.js';
import { loadTokenizer } from '../tokenizer.js';
import type { TextTokenizer } from '../tokenizer.js';

/** For tests: chats that transformers rendered (parity/chat.py). */

export interface ChatCase {
  readonly chat: string;
  readonly tools?: boolean;
  readonly addGenerationPrompt?: boolean;
  readonly continueFinalMessage?: boolean;
  readonly variables?: Record<string, unknown>;
  readonly text?: string;
  readonly error?: string;
  readonly 'ids.bytes'?: number[];
  readonly 'mask.bytes'?: string;
  readonly 'ids.pieces'?: number[];
  readonly 'mask.pieces'?: string;
}

interface ChatGolden {
  readonly now: [number, number, number, number, number, number];
  readonly tools: Record<string, unknown>[];
  readonly chats: Record<string, ChatMessage[]>;
}

const home = fileURLToPath(new URL('../../../../parity/golden/', import.meta.url));

export function readGolden<T>(path: string): T {
  return JSON.parse(readFileSync(home + path, 'utf8')) as T;
}

export const golden = readGolden<
  ChatGolden & {
    templates: Record<string, string>;
    cases: Record<string, ChatCase[]>;
    named: { templates: Record<string, string>; cases: ChatCase[] };
  }
>('chat.json');

export function goldenTokenizer(kind: 'bytes' | 'pieces'): TextTokenizer {
  return loadTokenizer(
    readGolden<object>(`tokenizers/${kind}/tokenizer.json`),
    readGolden<object>(`tokenizers/${kind}/tokenizer_config.json`),
  );
}

const tokenizers = { bytes: goldenTokenizer('bytes'), pieces: goldenTokenizer('pieces') };

/** The template as those tokenizers would have it. */
export function templateOf(source: string | Record<string, string>): ChatTemplate {
  return chatTemplate(source, { specialTokens: tokenizers.bytes.specialTokens });
}

export function optionsOf({ tools, addGenerationPrompt, continueFinalMessage, variables }: ChatCase): ChatOptions {
  const [year, month, day, ...time] = golden.now;
  return {
    ...(tools === true ? { tools: golden.tools } : {}),
    addGenerationPrompt,
    continueFinalMessage,
    variables,
    now: new Date(year, month - 1, day, ...time),
  };
}

/** The text, the tokens and the mask that transformers makes, or a refusal where it refuses. */
export async function expectLikeTransformers(template: ChatTemplate, asked: ChatCase): Promise<void> {
  const messages = golden.chats[asked.chat] ?? [];
  const options = optionsOf(asked);
  if (asked.error !== undefined) {
    const { code, message } = await complaint(() => renderChat(messages, { template, ...options }));
    expect(code).toBe('data.chat');
    const [, reason] = /^TemplateError: (.*)$/.exec(asked.error) ?? [];
    if (reason !== undefined) expect(message).toContain(reason);
    return;
  }
  expect(renderChat(messages, { template, ...options })).toBe(asked.text);
  for (const kind of ['bytes', 'pieces'] as const) {
    const ids = asked[`ids.${kind}`];
    if (ids === undefined) continue;
    const encoded = encodeChat(messages, { template, tokenizer: tokenizers[kind], ...options });
    expect(encoded.ids).toEqual(ids);
    expect(encoded.mask.map(Number).join('')).toBe(asked[`mask.${kind}`]);
  }
}
