import type { Backend } from '@lowrank/tensor';
import type { Command } from 'commander';
import type { TransferEvents } from '../jobs/folders.js';
import { predictFolder } from '../jobs/predict.js';
import type { PredictOptions } from '../jobs/predict.js';
import type { Speaker } from './io.js';
import { dataSettings } from '@lowrank/data';
import { taskSettings } from '../settings/taskSettings.js';
import { addSettingFlags } from './settingFlags.js';

export type PredictFlags = Omit<PredictOptions, 'backend' | 'texts' | keyof TransferEvents> & { json: boolean };

/** The flags of `predict` alone. */
export function addPredictFlags(command: Command): Command {
  command
    .argument('[texts...]', 'texts to be asked about, in the place of --data')
    .option(
      '--data <file>',
      'rows, which need no labels: JSON lines, CSV, Parquet, text; - for JSON lines from standard input',
    );
  addSettingFlags(command, taskSettings);
  return addSettingFlags(command, dataSettings, { only: ['columns', 'sampleBy', 'maxLength'] }).addHelpText(
    'after',
    '\nExample:\n  $ lowrank predict --model ./minilm --adapter ./adapter --json "A film to remember."',
  );
}

/** A line for each row: JSON, or what it says in short. */
export async function predictCommand(
  texts: readonly string[],
  flags: PredictFlags & TransferEvents,
  { backend, speaker }: { readonly backend: () => Promise<Backend>; readonly speaker: Speaker },
): Promise<void> {
  const predictions = await predictFolder({ ...flags, texts, backend });
  for (const prediction of predictions) speaker.result(prediction, inShort(prediction));
}

function inShort(prediction: Readonly<Record<string, unknown>>): string {
  const { label, probabilities, tags, answer, score, embedding } = prediction;
  if (Array.isArray(embedding)) return embedding.map((value) => Number(value).toFixed(6)).join(' ');
  if (typeof answer === 'string') return `${answer}\t${Number(score).toFixed(4)}`;
  if (Array.isArray(tags)) return tags.join(' ');
  const share = (probabilities as Record<string, number> | undefined)?.[String(label)];
  const said = Array.isArray(label) ? label.join(', ') : String(label);
  return share === undefined ? said : `${said}\t${share.toFixed(4)}`;
}
