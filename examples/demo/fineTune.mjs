/** The training of the demo: LoRA on the base model, saved as a PEFT folder. */
import { fileURLToPath } from 'node:url';
import {
  addAdapter,
  encodeRows,
  largestBatches,
  loadModel,
  loraConfig,
  openFolder,
  readTokenizer,
  saveAdapter,
  train,
  trainingBatches,
} from 'lowrank';
import { adapterSettings, finetuning } from './recipe.mjs';

export const baseFolder = fileURLToPath(new URL('base', import.meta.url));

/** `{ prompt, completion }` rows as the library takes them. */
export const encode = (rows, tokenizer) =>
  encodeRows(
    rows.map((row, i) => ({ ...row, line: i + 1 })),
    tokenizer,
  ).rows;

/**
 * @param {{
 *   backend: import('lowrank').Backend,
 *   rows: { prompt: string, completion: string }[],
 *   output: string,
 *   steps?: number,
 *   seed?: number,
 *   onStep?: (step: { step: number, loss: number }) => void,
 * }} options `seed` draws the adapter's first matrices and the order of the rows
 * @returns {Promise<{ steps: number, finalLoss: number, tokens: number, seconds: number, parameters: number }>}
 */
export async function fineTune({ backend, rows, output, steps = finetuning.steps, seed = 0, onStep }) {
  const { batchSize, ...optimizer } = finetuning;
  const model = await loadModel(await openFolder(baseFolder));
  const encoded = encode(rows, await readTokenizer(baseFolder));
  const config = loraConfig({ ...adapterSettings, baseModel: 'examples/demo/base' });
  const { parameters } = await addAdapter(model, config, { seed });
  const { finalLoss, tokens, seconds } = await train({
    createSession: () => ({ backend, parameters, loss: (batch) => model.loss(batch) }),
    batches: trainingBatches(encoded, { batchSize, seed }),
    largest: largestBatches(encoded, { batchSize, seed, steps }),
    ...optimizer,
    steps,
    onEvent: (event) => {
      if (event.type === 'step') onStep?.(event);
    },
  });
  await saveAdapter(model, output);
  const size = parameters.reduce((sum, { parameter }) => sum + parameter.tensor.size, 0);
  return { steps, finalLoss, tokens, seconds, parameters: size };
}
