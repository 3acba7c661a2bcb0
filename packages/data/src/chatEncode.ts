import { LowrankError } from '@lowrank/errors';
import type { ChatMessage, ChatOptions, ChatTemplate } from './chat.js';
import type { TextSpan } from './tokenizers/pipeline.js';
import type { TextTokenizer } from './tokenizer.js';

/** A chat as text and token ids, with the tokens that an assistant wrote. */
export interface EncodedChat {
  readonly text: string;
  readonly ids: number[];
  /** For each token, whether an assistant wrote any of it, or whether it lies behind the prompt. */
  readonly mask: boolean[];
  /** False where the tokens of a given prompt alone do not begin the tokens of all. */
  readonly promptIsPrefix: boolean;
}

/**
 * Renders a chat and tokenizes it as it is: a template writes BOS and EOS itself. What assistants wrote is what the
 * template marks with `{% generation %}`, token for token as in transformers. Where it marks nothing, the chat is also
 * rendered up to each assistant's turn, with and without it, and the turn is what lies between.
 *
 * With `promptMessages` everything behind that prompt counts as written, whoever said it: as in TRL, what follows the
 * tokens that all messages have in common with the prompt alone and the generation prompt behind it.
 *
 * @throws LowrankError `data.chat`, and `data.chatPrefix` where a template without marks writes a turn
 * otherwise once others follow
 */
export function encodeChat(
  messages: readonly ChatMessage[],
  options: ChatOptions & {
    readonly template: ChatTemplate;
    readonly tokenizer: TextTokenizer;
    readonly promptMessages?: number | undefined;
  },
): EncodedChat {
  const { template, tokenizer, promptMessages, ...chat } = options;
  const { text, generated } = template.render(messages, chat);
  if (promptMessages !== undefined) {
    const prompt = template.render(messages.slice(0, promptMessages), { ...chat, addGenerationPrompt: true });
    const { ids } = tokenizer.encodeWithSpans(text);
    const alone = tokenizer.encodeWithSpans(prompt.text).ids;
    const shared = commonLength(alone, ids);
    return { text, ids, mask: ids.map((_, at) => at >= shared), promptIsPrefix: shared === alone.length };
  }
  const written = template.marksGeneration(chat)
    ? generated
    : spansByPrefix(text, messages, { template, chat, end: eosOf(tokenizer) });
  const { ids, spans } = tokenizer.encodeWithSpans(text);
  return { text, ids, mask: overlaps(spans, written), promptIsPrefix: true };
}

/** How many ids both begin with. */
export function commonLength(one: readonly number[], other: readonly number[]): number {
  let length = 0;
  while (length < one.length && length < other.length && one[length] === other[length]) length++;
  return length;
}

/** Which tokens lie over a stretch of what was written, in whole or in part, as in transformers 5.24. */
function overlaps(spans: readonly TextSpan[], written: readonly TextSpan[]): boolean[] {
  const stretches = written.filter(({ start, end }) => end > start);
  let at = 0;
  return spans.map(({ start, end }) => {
    while (at < stretches.length && start >= (stretches[at]?.end ?? 0)) at++;
    const stretch = stretches[at];
    return stretch !== undefined && end > stretch.start;
  });
}

/** EOS as text. */
function eosOf(tokenizer: TextTokenizer): string | undefined {
  return tokenizer.eosId === undefined ? undefined : tokenizer.tokenOf(tokenizer.eosId);
}

/** A chat without the EOS that its template, as Phi-3's, writes behind the last turn alone. */
function withoutEnd(chat: string, whole: string, end: string | undefined): string {
  if (whole.startsWith(chat) || end === undefined || end === '' || !chat.endsWith(end)) return chat;
  return chat.slice(0, -end.length);
}

/** What each assistant's turn adds to the chat before it and its generation prompt. */
function spansByPrefix(
  text: string,
  messages: readonly ChatMessage[],
  { template, chat, end }: { template: ChatTemplate; chat: ChatOptions; end: string | undefined },
): TextSpan[] {
  const upTo = (count: number, addGenerationPrompt: boolean): string =>
    template.render(messages.slice(0, count), { ...chat, continueFinalMessage: false, addGenerationPrompt }).text;
  return messages.flatMap(({ role }, at) => {
    if (role !== 'assistant') return [];
    const before = upTo(at, true);
    const isLast = at === messages.length - 1 && chat.addGenerationPrompt !== true;
    const after = isLast ? text : withoutEnd(upTo(at + 1, false), text, end);
    if (text.startsWith(after) && after.startsWith(before)) return [{ start: before.length, end: after.length }];
    throw new LowrankError({
      code: 'data.chatPrefix',
      what: `message ${at + 1} in ${template.name}`,
      expected:
        'a template that writes a turn the same whether or not others follow, with its generation prompt before it',
      got: 'one whose prefixes do not nest, and that has no {% generation %} marks to tell what an assistant wrote',
      remedy:
        'Use a template with {% generation %} … {% endgeneration %} around what assistants write (many ' +
        'models have one for training).',
    });
  });
}
