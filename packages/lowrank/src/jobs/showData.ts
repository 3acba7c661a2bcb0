import type {
  ChatTemplate,
  EncodedRow,
  LossMask,
  PromptGroup,
  RowSelection,
  RowStatistics,
  TextRow,
} from '@lowrank/data';
import {
  cutValidation,
  describeForms,
  encodeRow,
  groupByPrompt,
  isChat,
  promptKey,
  readChatTemplate,
  readTokenizer,
  renderChat,
  rowSourceName,
  rowStatistics,
  RowTally,
  selectedRows,
  selectionOf,
  splitsOf,
  validationCut,
} from '@lowrank/data';
import { datasetWarnings } from '../front/datasetWarnings.js';
import type { TransferEvents } from './folders.js';
import { withFolders } from './folders.js';
import { modelTexts } from './modelTexts.js';
import { refuseEncoder } from './refuseEncoder.js';

export interface ShowDataOptions extends TransferEvents, RowSelection, LossMask {
  readonly model: string;
  readonly data: string;
  /** A Jinja file that makes text of rows of messages; default: the model's chat template. */
  readonly template?: string;
  /** Tokens kept of each row. Default: all. */
  readonly maxLength?: number;
  /** Rows that are held out to be evaluated. */
  readonly validation?: number | undefined;
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
  /** Lines of which no EOS is learned, nor another token that ends a turn. */
  readonly without_eos_lines: readonly number[];
  /** Tokens that cut lines lost. */
  readonly cut_tokens: number;
  /** How many rows have which form. */
  readonly forms: Readonly<Record<string, number>>;
  readonly statistics: RowStatistics;
  /** Rows that --validation holds out; null without it. */
  readonly validation_rows: number | null;
  /** Of a folder its other parts. */
  readonly splits: Readonly<Record<string, { readonly rows: number; readonly shared_prompts: number }>>;
}

/**
 * Tokenizes a file of rows as training does, and shows each.
 *
 * @throws LowrankError `models.encoder` for a model that writes no text; what reading the rows throws
 */
export async function showData(given: ShowDataOptions): Promise<ShowDataResult> {
  const options = await withFolders(given, given);
  await refuseEncoder(options.model, '`lowrank init` tells what the rows of a task are taken for.');
  const { maxLength, validation } = options;
  const tokenizer = await readTokenizer(modelTexts(options.model));
  for (const text of tokenizer.warnings) options.onWarning?.(text);
  const { rows, forms } = await selectedRows(options.data, selectionOf(options));
  const name = rowSourceName(options.data);
  options.onForms?.(`${name}: ${describeForms(forms)}`);
  const chatTemplate = rows.some(isChat)
    ? await readChatTemplate(modelTexts(options.model), { file: options.template })
    : undefined;
  const tally = new RowTally();
  const encodedRows: EncodedRow[] = [];
  for (const row of rows) {
    const encoded = encodeRow(row, tokenizer, { ...options, chatTemplate });
    tally.add(encoded);
    encodedRows.push(encoded);
    const [ids, labels] = [Array.from(encoded.ids), Array.from(encoded.labels)];
    const decode = (some: readonly number[]): string => tokenizer.decode(some, { skipSpecialTokens: false });
    options.onRow?.({
      line: row.line,
      ids,
      labels,
      text: textOf(row, chatTemplate),
      parts: () => partsOf(ids, labels, decode),
    });
  }
  const statistics = rowStatistics(encodedRows);
  const found = { name, duplicates: statistics.duplicates, ...tally.findings };
  for (const text of datasetWarnings(found, maxLength ?? 0)) options.onWarning?.(text);
  const held = validation === undefined ? undefined : cutValidation(rows, validationCut(validation), options.data);
  return {
    rows: rows.length,
    tokens: encodedRows.reduce((sum, { ids }) => sum + ids.length, 0),
    label_tokens: found.labelTokens,
    dropped_lines: found.droppedLines,
    truncated_lines: found.truncatedLines,
    unaligned_lines: found.unalignedLines,
    doubled_bos_lines: found.doubledBosLines,
    without_eos_lines: found.endlessLines,
    cut_tokens: found.cutTokens,
    forms: Object.fromEntries(forms),
    statistics,
    validation_rows: held === undefined ? null : held.validation.length,
    splits: await otherSplits(options, groupByPrompt(rows)),
  };
}

/** The other parts of a folder of data, and how many of their rows ask what the rows to train on ask. */
async function otherSplits(
  options: ShowDataOptions,
  trained: readonly PromptGroup[],
): Promise<ShowDataResult['splits']> {
  const asked = new Set(trained.map(([row]) => promptKey(row)));
  const found: Record<string, { rows: number; shared_prompts: number }> = {};
  for (const split of await splitsOf(options.data)) {
    if (split === 'train') continue;
    const { rows } = await selectedRows(options.data, { ...selectionOf(options), split });
    const shared = rows.filter((row) => asked.has(promptKey(row))).length;
    found[split] = { rows: rows.length, shared_prompts: shared };
    if (shared > 0)
      options.onWarning?.(`${options.data}: ${shared} of ${rows.length} ${split} rows ask what is asked in train too`);
  }
  return found;
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
