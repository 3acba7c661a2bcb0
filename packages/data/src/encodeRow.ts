import { LowrankError } from '@lowrank/errors';
import { commonLength, encodeChat } from './chatEncode.js';
import type { ChatTemplate } from './chat.js';
import type { ChatRow, TextRow } from './textRow.js';
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
  /** True where the text begins with a BOS of its own, and the tokenizer puts another one before it. */
  readonly doublesBos?: boolean;
  /**
   * False where nothing is learned that ends a text: EOS, or of a chat a special token behind what was said last. What
   * learns such rows alone never stops.
   */
  readonly learnsEnd?: boolean;
}

/** How rows become tokens. */
export interface EncodeRowOptions extends LossMask {
  /** Tokens kept of each row, from its start. */
  readonly maxLength?: number | undefined;
  /** What makes text of rows of messages. */
  readonly chatTemplate?: ChatTemplate | undefined;
}

/** What is learned of a row. */
export interface LossMask {
  /** False: prompts are learned as their completions are. */
  readonly completionOnlyLoss?: boolean | undefined;
  /** False: chats are learned whole. */
  readonly assistantOnlyLoss?: boolean | undefined;
}

/**
 * Tokenizes a row as TRL's SFTTrainer does: EOS is written behind the text unless the text ends with it, prompt and
 * completion are tokenized as one text, and the tokenizer puts around it what it puts around every text, such as BOS.
 * Labels are on what follows the tokens that the row has in common with its prompt alone, or everywhere for a `text`
 * row. A row longer than `maxLength` keeps its start. A row of messages is what the chat template makes of it, nothing
 * added, with labels on what assistants say, or on all that follows the messages of a prompt.
 *
 * @throws LowrankError `data.noEos` where the tokenizer has no EOS; `data.noTemplate` for messages without a chat
 * template, `data.rowForm` for a pair of answers, and what encodeChat throws
 */
export function encodeRow(row: TextRow, tokenizer: TextTokenizer, options: EncodeRowOptions = {}): EncodedRow {
  if ('messages' in row) return encodeChatRow(row, tokenizer, options);
  if ('chosen' in row) throw aPair(row.line);
  const isPrompt = 'prompt' in row;
  const text = isPrompt ? row.prompt + row.completion : row.text;
  const ids = encodeToEnd(text, isPrompt ? row.completion : row.text, tokenizer);
  const prompt = isPrompt ? tokenizer.encode(row.prompt) : [];
  const shared = commonLength(prompt, ids);
  // Something is always to be learned, even where the completion vanishes in the prompt's last token.
  const masked = options.completionOnlyLoss === false ? 0 : Math.min(shared, ids.length - 1);
  const kept = Int32Array.from(options.maxLength === undefined ? ids : ids.slice(0, options.maxLength));
  const labels = kept.slice().fill(ignored, 0, masked);
  return {
    line: row.line,
    ids: kept,
    labels,
    labelTokens: Math.max(0, kept.length - Math.max(masked, 1)),
    fullLength: ids.length,
    promptIsPrefix: shared === prompt.length && prompt.length < ids.length,
    doublesBos: tokenizer.addsBos && ids.length > 1 && ids[1] === tokenizer.bosId,
    learnsEnd: learnsEnd(labels, tokenizer),
  };
}

/**
 * The ids of a text with EOS behind it. TRL compares and appends EOS as text; where only the model's configuration
 * names EOS, by an id that no text is found as, that id is appended.
 */
function encodeToEnd(text: string, ending: string, tokenizer: TextTokenizer): number[] {
  const { eosId } = tokenizer;
  const eos = eosId === undefined ? undefined : tokenizer.tokenOf(eosId);
  if (eosId === undefined || eos === undefined) throw noEos();
  if (ending.endsWith(eos)) return tokenizer.encode(text);
  if (tokenizer.specialTokens['eos_token'] === eos) return tokenizer.encode(text + eos);
  const [alone, ...more] = tokenizer.encode(eos, { addSpecialTokens: false });
  return alone === eosId && more.length === 0 ? tokenizer.encode(text + eos) : [...tokenizer.encode(text), eosId];
}

function encodeChatRow(
  row: ChatRow,
  tokenizer: TextTokenizer,
  { maxLength, chatTemplate, completionOnlyLoss = true, assistantOnlyLoss = true }: EncodeRowOptions,
): EncodedRow {
  if (chatTemplate === undefined) throw noTemplate(row.line);
  const { ids, mask, promptIsPrefix } = encodeChat(row.messages, {
    template: chatTemplate,
    tokenizer,
    tools: row.tools,
    variables: row.variables,
    promptMessages: row.promptMessages,
  });
  const kept = Int32Array.from(maxLength === undefined ? ids : ids.slice(0, maxLength));
  const isWhole = row.promptMessages === undefined ? !assistantOnlyLoss : !completionOnlyLoss;
  const labels = kept.map((id, at) => (isWhole || mask[at] === true ? id : ignored));
  return {
    line: row.line,
    ids: kept,
    labels,
    labelTokens: labels.subarray(1).filter((label) => label !== ignored).length,
    fullLength: ids.length,
    promptIsPrefix,
    doublesBos: ids.length > 1 && ids[0] === tokenizer.bosId && ids[1] === tokenizer.bosId,
    learnsEnd: learnsEnd(labels, tokenizer) || (kept.length === ids.length && endsSpecially(labels, tokenizer)),
  };
}

function learnsEnd(labels: Int32Array, { eosId }: TextTokenizer): boolean {
  return eosId !== undefined && labels.includes(eosId);
}

/** Whether the last token that is learned, line breaks aside, is one that no text is: a template's end of turn. */
function endsSpecially(labels: Int32Array, tokenizer: TextTokenizer): boolean {
  for (let at = labels.length - 1; at >= 0; at--) {
    const id = labels[at];
    if (id === undefined || id === ignored) continue;
    if (tokenizer.decode([id], { skipSpecialTokens: true }) === '') return true;
    if (tokenizer.decode([id]).trim() !== '') return false;
  }
  return false;
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

function aPair(line: number): LowrankError {
  return new LowrankError({
    code: 'data.rowForm',
    what: `line ${line}: "chosen" and "rejected"`,
    expected: 'one completion, to be learned',
    got: 'two, of which one is preferred',
    remedy: 'Train on pairs with a loss for them: --loss dpo, orpo or simpo.',
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
