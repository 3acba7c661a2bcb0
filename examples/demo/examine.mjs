/** What a model knows of the task: its loss on rows and its own answers to them. */
import { loadModel } from 'lowrank';
import { baseFolder } from './fineTune.mjs';
import { maxNewTokens } from './recipe.mjs';

/** @returns {number} how many answers are the wanted text, but for blanks at the ends */
export const exactMatches = (answers, rows) =>
  rows.reduce((sum, row, i) => sum + (answers[i]?.trim() === row.completion.trim() ? 1 : 0), 0);

/**
 * Loss, and greedy answers to all prompts side by side.
 * @param {{ backend: import('lowrank').Backend, rows: { prompt: string, completion: string }[], adapter?: string,
 * onToken?: (written: number) => void, }} options `adapter`: a PEFT folder; `onToken` hears how long the longest answer
 * is so far
 * @returns {Promise<{ loss: number, answers: string[], exact: number }>} `answers` without the prompts, `exact` of them
 * right
 */
export async function examine({ backend, rows, adapter, onToken }) {
  const model = await loadModel(baseFolder, { device: backend });
  if (adapter !== undefined) await model.loadAdapter(adapter);
  const { loss } = await model.evaluate(rows);
  const written = rows.map(() => 0);
  let longest = 0;
  const prompts = rows.map(({ prompt }) => prompt);
  const answers = await model.generateBatch(prompts, {
    maxNewTokens,
    onToken: (_, prompt) => {
      written[prompt]++;
      if (written[prompt] > longest) onToken?.(++longest);
    },
  });
  await model.dispose();
  return { loss, answers, exact: exactMatches(answers, rows) };
}
