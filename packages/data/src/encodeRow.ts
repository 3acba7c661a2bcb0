import { LowrankError } from '@lowrank/errors';
import { encodeChat } from './chatEncode.js';
import type { ChatTemplate } from './chatTemplate.js';
import type { ChatRow, TextRow } from './jsonl.js';
import type { TextTokenizer } from './tokenizer.js';

/** The label of a position that carries no loss, as in PyTorch and Hugging Face. */
export const ignored = -100;

/** One tokenized row. */
export interface EncodedRow {
  /** Line in the data file, from 1. */
  readonly line: number;
  readonly ids: Int32Array;
  /** Not shifted, as in Hugging Face: `labels[i]` is `ids[i]` where token i is to be predicted, else -100. */
  readonly labels: Int32Array;
  /** Labels that a model can be asked for: all but one at position 0, which nothing precedes. */
  readonly labelTokens: number;
  /** Tokens before truncation. */
  readonly fullLength: number;
  /**
   * False where the tokens of the prompt alone do not begin the tokens of prompt and completion together: the border of
   * the mask then lies within a token, give or take one.
   */
  readonly promptIsPrefix: boolean;
}

/**
 * Tokenizes a row: BOS if the tokenizer adds one, then the text, then EOS; prompt and completion are tokenized as one
 * text. Labels are on the completion and EOS, or everywhere for a `text` row; the masked part is as long as the prompt
 * tokenized alone. A row longer than `maxLength` keeps its start. A row of messages is what the chat template makes of
 * it, nothing added, with labels on what assistants say.
 *
 * @throws LowrankError `data.noEos` where the tokenizer has no EOS; `data.noTemplate` for messages without a chat
 * template, and what encodeChat throws
 */
export function encodeRow(
  row: TextRow,
  tokenizer: TextTokenizer,
  options: { readonly maxLength?: number; readonly chatTemplate?: ChatTemplate | undefined } = {},
): EncodedRow {
  if ('messages' in row) return encodeChatRow(row, tokenizer, options);
  const { eosId } = tokenizer;
  if (eosId === undefined) throw noEos();
  const isPrompt = 'prompt' in row;
  const ids = [...encodeStart(isPrompt ? row.prompt + row.completion : row.text, tokenizer), eosId];
  const prompt = isPrompt ? encodeStart(row.prompt, tokenizer) : [];
  // EOS is always to be learned, even where the completion vanishes in the prompt's last token.
  const masked = Math.min(prompt.length, ids.length - 1);
  const kept = Int32Array.from(options.maxLength === undefined ? ids : ids.slice(0, options.maxLength));
  const labels = kept.slice().fill(ignored, 0, masked);
  return {
    line: row.line,
    ids: kept,
    labels,
    labelTokens: Math.max(0, kept.length - Math.max(masked, 1)),
    fullLength: ids.length,
    promptIsPrefix: prompt.length < ids.length && prompt.every((id, i) => ids[i] === id),
  };
}

function encodeChatRow(
  row: ChatRow,
  tokenizer: TextTokenizer,
  { maxLength, chatTemplate }: { readonly maxLength?: number; readonly chatTemplate?: ChatTemplate | undefined },
): EncodedRow {
  if (chatTemplate === undefined) throw noTemplate(row.line);
  const { ids, mask } = encodeChat(row.messages, { template: chatTemplate, tokenizer, tools: row.tools });
  const kept = Int32Array.from(maxLength === undefined ? ids : ids.slice(0, maxLength));
  const labels = kept.map((id, at) => (mask[at] === true ? id : ignored));
  return {
    line: row.line,
    ids: kept,
    labels,
    labelTokens: labels.subarray(1).filter((label) => label !== ignored).length,
    fullLength: ids.length,
    promptIsPrefix: true,
  };
}

/** BOS and the text: what the tokenizer adds behind a text (EOS, in some) is left out. */
function encodeStart(text: string, tokenizer: TextTokenizer): number[] {
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  return tokenizer.addsBos && tokenizer.bosId !== undefined ? [tokenizer.bosId, ...ids] : ids;
}

function noTemplate(line: number): LowrankError {
  return new LowrankError({
    code: 'data.noTemplate',
    what: `line ${line}: messages`,
    expected: 'a chat template, which makes text of them',
    got: 'a tokenizer_config.json without "chat_template", and no chat_template.jinja',
    remedy:
      "Put the chat_template.jinja of the model's instruct variant into its folder, or give the rows as " +
      '"prompt" and "completion".',
  });
}

function noEos(): LowrankError {
  return new LowrankError({
    code: 'data.noEos',
    what: 'the tokenizer',
    expected: 'an end-of-sequence token, which every row ends with',
    got: 'none',
    remedy: 'Add "eos_token" to tokenizer_config.json, or "eos_token_id" to config.json.',
  });
}
