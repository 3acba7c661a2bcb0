import type { ChatTemplate, LossMask, RowSelection, TextRow } from '@lowrank/data';
import {
  describeForms,
  encodeRow,
  isChat,
  readChatTemplate,
  readTokenizer,
  renderChat,
  selectedRows,
  selectionOf,
} from '@lowrank/data';
import { datasetWarnings } from '../front/datasetWarnings.js';
import type { TransferEvents } from './folders.js';
import { withFolders } from './folders.js';

export interface ShowDataOptions extends TransferEvents, RowSelection, LossMask {
  readonly model: string;
  readonly data: string;
  /** A Jinja file that makes text of rows of messages; default: the model's chat template. */
  readonly template?: string;
  /** Tokens kept of each row. Default: all. */
  readonly maxLength?: number;
  /** Hears, before the rows, what forms they have. */
  readonly onForms?: (text: string) => void;
  /** Sees each row. */
  readonly onRow?: (row: ShownRow) => void;
}

/** One row as training sees it. */
export interface ShownRow {
  readonly line: number;
  readonly ids: readonly number[];
  /** -100 where nothing is learned, else the id. */
  readonly labels: readonly number[];
  /** What was tokenized: the rendered chat, the text, or prompt and completion. */
  readonly text: string;
  /** The text of each stretch of tokens that is learned, or is not. */
  parts(): readonly { readonly learned: boolean; readonly text: string }[];
}

/** What `lowrank data` prints last. */
export interface ShowDataResult {
  readonly rows: number;
  readonly tokens: number;
  readonly label_tokens: number;
  /** Lines of which nothing is learned: training leaves them out. */
  readonly dropped_lines: readonly number[];
  readonly truncated_lines: readonly number[];
  /** Lines whose border between prompt and completion lies within a token. */
  readonly unaligned_lines: readonly number[];
  /** Lines that begin with two BOS. */
  readonly doubled_bos_lines: readonly number[];
}

/** Tokenizes a file of rows as training does, and shows each. */
export async function showData(given: ShowDataOptions): Promise<ShowDataResult> {
  const options = await withFolders(given, given);
  const { maxLength } = options;
  const tokenizer = await readTokenizer(options.model);
  for (const text of tokenizer.warnings) options.onWarning?.(text);
  const { rows, forms } = await selectedRows(options.data, selectionOf(options));
  options.onForms?.(`${options.data}: ${describeForms(forms)}`);
  const chatTemplate = rows.some(isChat)
    ? await readChatTemplate(options.model, { file: options.template })
    : undefined;
  const lines = {
    dropped: [] as number[],
    truncated: [] as number[],
    unaligned: [] as number[],
    doubled: [] as number[],
  };
  let [tokens, labelTokens] = [0, 0];
  for (const row of rows) {
    const encoded = encodeRow(row, tokenizer, { ...options, chatTemplate });
    const [ids, labels] = [Array.from(encoded.ids), Array.from(encoded.labels)];
    tokens += ids.length;
    labelTokens += encoded.labelTokens;
    if (encoded.labelTokens === 0) lines.dropped.push(row.line);
    if (encoded.fullLength > ids.length) lines.truncated.push(row.line);
    if (!encoded.promptIsPrefix) lines.unaligned.push(row.line);
    if (encoded.doublesBos === true) lines.doubled.push(row.line);
    const decode = (some: readonly number[]): string => tokenizer.decode(some, { skipSpecialTokens: false });
    options.onRow?.({
      line: row.line,
      ids,
      labels,
      text: textOf(row, chatTemplate),
      parts: () => partsOf(ids, labels, decode),
    });
  }
  const findings = {
    name: options.data,
    droppedLines: lines.dropped,
    truncatedLines: lines.truncated,
    unalignedLines: lines.unaligned,
    doubledBosLines: lines.doubled,
  };
  for (const text of datasetWarnings(findings, maxLength ?? 0)) options.onWarning?.(text);
  return {
    rows: rows.length,
    tokens,
    label_tokens: labelTokens,
    dropped_lines: lines.dropped,
    truncated_lines: lines.truncated,
    unaligned_lines: lines.unaligned,
    doubled_bos_lines: lines.doubled,
  };
}

function textOf(row: TextRow, template: ChatTemplate | undefined): string {
  if ('text' in row) return row.text;
  if ('completion' in row) return row.prompt + row.completion;
  if ('chosen' in row || template === undefined) return '';
  const { messages, tools, variables } = row;
  return renderChat(messages, { template, tools, variables });
}

function partsOf(
  ids: readonly number[],
  labels: readonly number[],
  decode: (ids: readonly number[]) => string,
): ReturnType<ShownRow['parts']> {
  const parts: { learned: boolean; text: string }[] = [];
  for (let from = 0; from < ids.length;) {
    const learned = labels[from] !== -100;
    let to = from + 1;
    while (to < ids.length && (labels[to] !== -100) === learned) to++;
    // Decoded with what is before it, so that a blank at its beginning is not lost.
    const [before, whole] = [decode(ids.slice(0, from)), decode(ids.slice(0, to))];
    parts.push({ learned, text: whole.startsWith(before) ? whole.slice(before.length) : decode(ids.slice(from, to)) });
    from = to;
  }
  return parts;
}
