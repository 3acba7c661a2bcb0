/** The training of the demo: LoRA on the base model, saved as a PEFT folder. */
import { fileURLToPath } from 'node:url';
import { fineTune as train, loadModel } from 'lowrank';
import { adapterSettings, finetuning } from './recipe.mjs';

export const baseFolder = fileURLToPath(new URL('base', import.meta.url));

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
  const model = await loadModel(baseFolder, { device: backend });
  let parameters = 0;
  const run = await train(model, {
    ...adapterSettings,
    ...finetuning,
    baseModel: 'examples/demo/base',
    data: rows,
    steps,
    seed,
    onStep,
    onEvent: (event) => {
      if (event.type === 'started') parameters = event.trainedParameters;
    },
  });
  await run.save(output);
  await model.dispose();
  const { finalLoss, tokens, seconds } = run;
  return { steps, finalLoss, tokens, seconds, parameters };
}
