import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import {
  addAdapter,
  chooseBackend,
  loadModel,
  loraConfig,
  openFolder,
  readDataset,
  readTokenizer,
  saveAdapter,
  train,
  trainingBatches,
} from './index.js';
import { golden, readJson, runCli, scratch } from './testing.js';

async function snippet(modelFolder: string, dataFile: string, outputFolder: string): Promise<void> {
  // README, from here
  const { backend } = await chooseBackend('auto');
  const model = await loadModel(await openFolder(modelFolder));
  const { rows } = await readDataset(dataFile, await readTokenizer(modelFolder));

  const config = loraConfig({ r: 8, alpha: 16, targetModules: 'all-linear', baseModel: modelFolder });
  const { parameters } = await addAdapter(model, config);
  await train({
    createSession: () => ({ backend, parameters, loss: (batch) => model.loss(batch) }),
    batches: trainingBatches(rows, { batchSize: 8 }),
    steps: 100,
    learningRate: 2e-4,
    clip: 1,
    onEvent: (event) => {
      if (event.type === 'step') console.log(event.step, event.loss);
    },
  });
  await saveAdapter(model, outputFolder);
  backend.dispose();
  // to here
}

test('the example of the README is this one, has at most 25 lines, and trains an adapter', async () => {
  const [, body = ''] = readFileSync(import.meta.filename, 'utf8').split(
    /^ *\/\/ README, from here\n|^ *\/\/ to here\n/m,
  );
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  expect(readme).toContain(body.replaceAll(/^ {2}/gm, ''));
  const [, block = ''] = /```ts\n(import \{ chooseBackend.*?)```/s.exec(readme) ?? [];
  expect(block.trimEnd().split('\n').length).toBeLessThanOrEqual(25);

  using folder = scratch();
  const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  const [model, output] = [join(golden, 'tied'), join(folder.path, 'adapter')];
  await snippet(model, join(golden, 'train/rows.jsonl'), output);
  const losses = log.mock.calls.map(([, loss]) => Number(loss));
  log.mockRestore();
  expect(losses.length).toBe(100);
  expect(losses.at(-1)).toBeLessThan(losses[0] ?? NaN);
  expect(readJson<object>(join(output, 'adapter_config.json'))).toMatchObject({
    r: 8,
    lora_alpha: 16,
    base_model_name_or_path: model,
  });
  expect(
    (
      await runCli([
        'eval',
        '--model',
        model,
        '--adapter',
        output,
        '--data',
        join(golden, 'train/eval.jsonl'),
        '--device',
        'cpu',
      ])
    ).code,
  ).toBe(0);
});
