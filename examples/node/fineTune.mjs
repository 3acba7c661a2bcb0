/**
 * Fine-tunes a model folder with LoRA and saves a PEFT folder, with the packages alone.
 * `node fineTune.mjs MODEL ROWS.jsonl OUTPUT [STEPS]`
 */
// #region imports
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import { readDataset, readTokenizer, trainingBatches } from '@lowrank/data';
import { loraConfig, serializeAdapter } from '@lowrank/lora';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { addAdapter, saveAdapter } from '@lowrank/patch';
import { train } from '@lowrank/trainer';
// #endregion imports

// #region fineTune
export async function fineTune({ model: folder, data, output, steps = 100, onEvent }) {
  const backend = await createCpuBackend(); // or createWebgpuBackend() of @lowrank/webgpu
  const { rows } = await readDataset(data, await readTokenizer(folder));

  const model = await loadCausalModel(await openFolder(folder));
  const config = loraConfig({ r: 4, alpha: 8, targetModules: 'all-linear' });
  const { parameters } = await addAdapter(model, config, { seed: 1 });

  const result = await train({
    createSession: () => ({ backend, loss: (batch) => model.loss(batch), parameters }),
    batches: trainingBatches(rows, { batchSize: 4, seed: 1 }),
    steps,
    learningRate: 1e-2,
    schedule: 'linear',
    clip: 1,
    onEvent,
  });

  const files = serializeAdapter(await saveAdapter(model));
  await mkdir(output, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(output, name), bytes);
  backend.dispose();
  return result.finalLoss;
}
// #endregion fineTune

if (import.meta.filename === process.argv[1]) {
  const [model, data, output, steps = '100'] = process.argv.slice(2);
  if (output === undefined) {
    console.error('Usage: node fineTune.mjs MODEL ROWS.jsonl OUTPUT [STEPS]');
    process.exitCode = 2;
  } else {
    const show = (event) => event.type === 'step' && console.log(`step ${event.step}: loss ${event.loss.toFixed(4)}`);
    await fineTune({ model, data, output, steps: Number(steps), onEvent: show });
    console.log(`The adapter lies in ${output}.`);
  }
}
