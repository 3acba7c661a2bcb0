import type { Dataset, EncodeOptions } from '../dataset.js';
import { checkMaxLength, encodeChecked, noLabels } from '../dataset.js';
import type { EncodedRow } from '../encodeRow.js';
import { ignored } from '../encodeRow.js';
import type { ChatRow, PreferenceRow, PromptRow, TextRow, Turns } from '../textRow.js';
import type { TextTokenizer } from '../tokenizer.js';
import type { ExampleGroup, PreferenceExample } from './example.js';
import type { JudgedRow } from './judgedGroups.js';
import { judgedGroups } from './judgedGroups.js';
import type { PreferenceKind } from './preferenceBatches.js';

/** Encoded pairs or judged rows, and what happened to the others. */
export interface PreferenceDataset extends Omit<Dataset, 'rows' | 'dropped'> {
  readonly groups: readonly ExampleGroup[];
}

export interface EncodePreferencesOptions extends Pick<
  EncodeOptions,
  'name' | 'maxLength' | 'vocabularySize' | 'chatTemplate'
> {
  readonly kind: PreferenceKind;
  /** Rows of a group, which KTO's divergence is estimated over; pairs stand alone. */
  readonly groupSize: number;
  /** Whether judged rows are drawn into groups by the seed, or follow the file. Default true. */
  readonly shuffle?: boolean | undefined;
  readonly seed?: number | undefined;
}

/**
 * Tokenizes rows of preferences as TRL's DPOTrainer and KTOTrainer do: prompt and completion as one text with EOS
 * behind
 * it (or what the chat template makes of both), the completion from where its tokens and those of the prompt alone
 * part;
 * of a pair, where the first of the two does. Documents longer than `maxLength` keep their start; those whose prompt
 * fills it are dropped. KTO takes pairs apart: all chosen completions, then all rejected ones.
 *
 * @throws LowrankError `data.vocabulary`, `data.noLabels` (nothing is left), `data.maxLength`, `data.rowForm` for rows
 * of
 * another form, `data.groupSize`, and what encodeRow throws
 */
export function encodePreferences(
  textRows: readonly TextRow[],
  tokenizer: TextTokenizer,
  options: EncodePreferencesOptions,
): PreferenceDataset {
  const { name = 'data', kind, groupSize, shuffle, seed, maxLength, vocabularySize, chatTemplate } = options;
  if (maxLength !== undefined) checkMaxLength(maxLength);
  const encoded = kind === 'kto' ? unpaired(textRows).map(judgedSides) : textRows.map(pairSides);
  const kept: Sides<EncodedRow>[] = [];
  const lines = { dropped: new Set<number>(), truncated: new Set<number>(), unaligned: new Set<number>() };
  const endless = new Set<number>();
  let cutTokens = 0;
  const doubled = new Set<number>();
  for (const { line, rows, isGood } of encoded) {
    const whole = rows.map((row) => encodeChecked(row, tokenizer, { name, vocabularySize, chatTemplate }));
    for (const row of whole) {
      if (!row.promptIsPrefix) lines.unaligned.add(line);
      if (row.doublesBos === true) doubled.add(line);
      const lost = row.ids.length - Math.min(row.ids.length, maxLength ?? Infinity);
      if (lost > 0) lines.truncated.add(line);
      cutTokens += lost;
      if (row.learnsEnd === false || lost > 0) endless.add(line);
    }
    const start = Math.min(...whole.map(completionStart));
    if (start >= (maxLength ?? Infinity)) lines.dropped.add(line);
    else kept.push({ line, rows: whole.map((row) => labelledFrom(row, start)), isGood });
  }
  if (kept.length === 0) throw noLabels(name, [...lines.dropped], maxLength);
  const groups =
    kind === 'kto'
      ? judgedGroups(kept.map(judgedRow), { size: groupSize, shuffle, seed, maxLength })
      : kept.flatMap((pair) => pairExample(pair, maxLength));
  const documents = groups.flat().flatMap((example) => (kind === 'kto' ? [example.documents[0]] : example.documents));
  return {
    name,
    forms: `${kept.length} rows`,
    groups,
    tokens: documents.reduce((total, { ids }) => total + ids.length, 0),
    labelTokens: documents.reduce((total, { labelTokens }) => total + labelTokens, 0),
    droppedLines: [...lines.dropped],
    truncatedLines: [...lines.truncated],
    cutTokens,
    endlessLines: [...endless].filter((line) => !lines.dropped.has(line)),
    unalignedLines: [...lines.unaligned],
    doubledBosLines: [...doubled],
  };
}

/** A row's completions: the chosen and the rejected one, or the one that is judged. */
interface Sides<Row> {
  readonly line: number;
  readonly rows: readonly Row[];
  readonly isGood: boolean;
}

type Side = PromptRow | ChatRow;

function pairSides(row: TextRow): Sides<Side> {
  if (!('chosen' in row)) throw new TypeError(`line ${row.line} is no pair`);
  return { line: row.line, rows: [sideOf(row, row.chosen), sideOf(row, row.rejected)], isGood: true };
}

function sideOf({ line, prompt, tools, variables }: PreferenceRow, completion: Turns): Side {
  if (typeof prompt === 'string' && typeof completion === 'string') return { line, prompt, completion };
  const [before, after] = [prompt, completion] as readonly Exclude<Turns, string>[];
  const messages = [...(before ?? []), ...(after ?? [])];
  return { line, messages, promptMessages: before?.length ?? 0, tools, variables };
}

interface JudgedSide {
  readonly row: Side;
  readonly isGood: boolean;
}

/** Pairs as judged rows, in TRL's order. */
function unpaired(rows: readonly TextRow[]): JudgedSide[] {
  const pairs = rows.filter((row) => 'chosen' in row);
  return [
    ...rows.flatMap((row): JudgedSide[] => ('label' in row ? [{ row, isGood: row.label === true }] : [])),
    ...pairs.map((row) => ({ row: sideOf(row, row.chosen), isGood: true })),
    ...pairs.map((row) => ({ row: sideOf(row, row.rejected), isGood: false })),
  ];
}

function judgedSides({ row, isGood }: JudgedSide): Sides<Side> {
  return { line: row.line, rows: [row], isGood };
}

/** Where the completion begins. */
function completionStart({ labels }: EncodedRow): number {
  const at = labels.findIndex((label) => label !== ignored);
  return at < 0 ? labels.length : at;
}

function labelledFrom(row: EncodedRow, start: number): EncodedRow {
  const labels = row.ids.slice().fill(ignored, 0, start);
  return { ...row, labels, labelTokens: row.ids.length - Math.max(start, 1) };
}

function pairExample({ line, rows: [chosen, rejected] }: Sides<EncodedRow>, maxLength = Infinity): ExampleGroup[] {
  if (chosen === undefined || rejected === undefined) return [];
  const example: PreferenceExample = { line, documents: [cut(chosen, maxLength), cut(rejected, maxLength)] };
  return [[example]];
}

function cut(row: EncodedRow, maxLength: number): EncodedRow {
  const lost = row.ids.length - Math.min(row.ids.length, maxLength);
  if (lost === 0) return row;
  const [ids, labels] = [row.ids.slice(0, maxLength), row.labels.slice(0, maxLength)];
  return { ...row, ids, labels, labelTokens: row.labelTokens - lost };
}

function judgedRow({ line, rows: [row], isGood }: Sides<EncodedRow>): JudgedRow {
  if (row === undefined) throw new TypeError(`line ${line} has no completion`);
  const start = completionStart(row);
  return { line, isGood, prompt: row.ids.slice(0, start), completion: row.ids.slice(start) };
}
