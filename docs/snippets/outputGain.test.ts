import { createCpuBackend } from '@lowrank/cpu';
import { packBatch } from '@lowrank/data';
import { loraConfig, readAdapter, serializeAdapter } from '@lowrank/lora';
import type { CausalModel } from '@lowrank/models';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { addAdapter, loadAdapter, mergeAdapter, saveAdapter, unmergeAdapter } from '@lowrank/patch';
import { bytesSource } from '@lowrank/safetensors';
import { compile, readTensor } from '@lowrank/tensor';
import { train } from '@lowrank/trainer';
import { expect, test } from 'vitest';
import { outputGain } from './outputGain';

const folder = new URL('../../parity/golden/llama/untied', import.meta.url).pathname;
const config = loraConfig({ targetModules: ['q_proj', 'down_proj'], r: 4, alpha: 8, variant: outputGain });
const ids = Int32Array.from({ length: 24 }, (_, at) => 3 + ((at * 7) % 50));
const batch = packBatch([
  { line: 1, ids, labels: ids, labelTokens: ids.length - 1, fullLength: ids.length, promptIsPrefix: true },
]);

test('a variant of one’s own is trained, saved, loaded and merged', async () => {
  const backend = await createCpuBackend();
  const lossOf = async (model: CausalModel): Promise<number> => {
    const step = compile(backend, ({ ids: i, labels, positions, segments }) => {
      if (i === undefined || labels === undefined || positions === undefined || segments === undefined)
        throw new TypeError('a batch');
      return { loss: model.loss({ ids: i, labels, positions, segments }) };
    });
    const { loss } = await step.run(batch.inputs);
    const [value = NaN] = await loss;
    await step.dispose();
    return value;
  };
  const model = await loadCausalModel(await openFolder(folder));
  const base = await lossOf(model);

  const { parameters } = await addAdapter(model, config);
  expect(await lossOf(model)).toBe(base); // B is zero
  await train({
    createSession: () => ({ backend, loss: (given) => model.loss(given), parameters }),
    batches: (function* () {
      for (;;) yield [batch];
    })(),
    steps: 8,
    learningRate: 0.01,
  });
  const trained = await lossOf(model);
  expect(trained).toBeLessThan(0.8 * base);
  const gain = parameters.find(({ name }) => name === 'model.layers.0.mlp.down_proj.lora_output_gain');
  expect(gain === undefined ? [] : Array.from(await readTensor(gain.parameter.tensor))).not.toContain(1);

  const files = serializeAdapter(await saveAdapter(model));
  const saved = {
    config: JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as unknown,
    weights: bytesSource(files['adapter_model.safetensors'] ?? new Uint8Array()),
    name: 'mine',
  };
  await expect(readAdapter(saved)).rejects.toThrow(/lowrank_variant in mine\/adapter_config.json.*outputGain/);
  const again = await loadCausalModel(await openFolder(folder));
  await loadAdapter(again, await readAdapter({ ...saved, variants: [outputGain] }));
  expect(await lossOf(again)).toBe(trained);

  await mergeAdapter(again);
  expect(Math.abs((await lossOf(again)) / trained - 1)).toBeLessThan(1e-5);
  await unmergeAdapter(again);
  expect(Math.abs((await lossOf(again)) / trained - 1)).toBeLessThan(1e-5);
  await mergeAdapter(again);
  expect(Math.abs((await lossOf(again)) / trained - 1)).toBeLessThan(1e-5);
  backend.dispose();
}, 60_000);
