import type { LossMask, RowSelection } from '@lowrank/data';
import type { Command } from 'commander';
import type { TransferEvents } from '../jobs/folders.js';
import type { ShownRow } from '../jobs/showData.js';
import { showData } from '../jobs/showData.js';
import { jsonHelp, modelHelp } from './commonFlags.js';
import { describeHistogram, describeLengths } from './describeRows.js';
import type { Speaker } from './io.js';
import { addDataFlags } from './trainingFlags.js';

export interface DataFlags extends RowSelection, LossMask {
  validation?: number;
  model: string;
  data: string;
  template?: string;
  maxLength?: number;
  json: boolean;
}

export function addDataCommandFlags(command: Command): Command {
  command
    .description('show rows as training sees them: their tokens, and which of them are learned')
    .requiredOption('--model <model>', `${modelHelp}; its tokenizer and chat template are read`);
  return addDataFlags(command)
    .option('--json', jsonHelp, false)
    .addHelpText(
      'after',
      '\nExample:\n  $ lowrank data --model ./llama --data rows.jsonl --max-length 512 --json\n\n' +
        'Without --json the learned part of each row stands between ⟦ and ⟧. With it there is a line for each row:\n' +
        '{"line", "ids", "labels", "text"}, a label being -100 where nothing is learned; the summary comes last.',
    );
}

export async function dataCommand(flags: DataFlags, speaker: Speaker, events: TransferEvents): Promise<void> {
  const { json: _, ...options } = flags;
  const onRow = (row: ShownRow): void => {
    const { line, ids, labels, text } = row;
    speaker.line({ line, ids, labels, text });
    if (!speaker.json) speaker.io.stdout(`${describeRow(row)}\n`);
  };
  const result = await showData({ ...options, ...events, onRow, onForms: (text) => speaker.say(text) });
  const { rows, tokens, label_tokens, statistics, validation_rows } = result;
  const held = validation_rows === null ? '' : `; ${validation_rows.toLocaleString('en')} rows are held out`;
  speaker.result(
    result,
    `${rows} rows, ${tokens.toLocaleString('en')} tokens, ` +
      `${label_tokens.toLocaleString('en')} of them learned${held}\n` +
      `${describeLengths(statistics)}\n${describeHistogram(statistics)}`,
  );
}

function describeRow(row: ShownRow): string {
  const { line, ids, labels } = row;
  const learned = labels.filter((label) => label !== -100).length;
  const text = row
    .parts()
    .map((part) => (part.learned ? `⟦${visible(part.text)}⟧` : visible(part.text)))
    .join('');
  return `line ${line}: ${ids.length} tokens, ${learned} learned\n${text}\n`;
}

/** Text of a file that nobody has read yet: what a terminal would obey is written as an escape. */
export function visible(text: string): string {
  return text.replace(obeyed, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** Control characters but the line break and the tab, and what turns the direction of writing. */
const obeyed = /(?![\n\t])\p{Cc}|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;
