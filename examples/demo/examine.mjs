/** What a model knows of the task: its loss on rows and its own answers to them. */
import { evaluate, evaluationBatches, generate, loadAdapter, loadModel, openFolder, readTokenizer } from 'lowrank';
import { baseFolder, encode } from './fineTune.mjs';
import { maxNewTokens } from './recipe.mjs';

/** The base model, with the adapter of a PEFT folder around it where one is named. */
async function open(adapter) {
  const model = await loadModel(await openFolder(baseFolder));
  if (adapter !== undefined) await loadAdapter(model, adapter);
  return model;
}

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
  const model = await open(adapter);
  const tokenizer = await readTokenizer(baseFolder);
  const { loss } = await evaluate({
    backend,
    loss: (batch) => model.loss(batch),
    batches: evaluationBatches(encode(rows, tokenizer)),
  });
  const prompts = rows.map((row) => tokenizer.encode(row.prompt));
  const written = prompts.map(() => 0);
  let longest = 0;
  const ids = await generate(
    model,
    { backend, prompts },
    {
      maxNewTokens,
      stopIds: [tokenizer.eosId],
      onToken: (_, prompt) => {
        written[prompt]++;
        if (written[prompt] > longest) onToken?.(++longest);
      },
    },
  );
  // Decoded behind its prompt: alone, a first token would lose the blank before it.
  const answers = prompts.map((prompt, i) =>
    tokenizer.decode([...prompt, ...ids[i]]).slice(tokenizer.decode(prompt).length),
  );
  return { loss, answers, exact: exactMatches(answers, rows) };
}
