import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { runCli, scratch } from '../testing.js';
import { loadModel } from './loadModel.js';
import { fineTune } from './fineTune.js';

const folder = fileURLToPath(new URL('../../../../examples/demo/base', import.meta.url));
const rows = [{ prompt: 'Tom has five yellow books.', completion: ' { owner: Tom }' }];

test('a model with an adapter is exported as the commands write it, byte by byte', async () => {
  using place = scratch();
  const at = (name: string): string => join(place.path, name);
  const model = await loadModel(folder, { device: 'cpu' });
  const run = await fineTune(model, { data: rows, r: 2, steps: 3, batchSize: 1, learningRate: 0.05 });
  await run.save(at('adapter'));
  const files = (await model.adapterFiles()) as never;
  const merged = await model.exportFiles([{ files }]);
  const gguf = await model.exportFiles([{ files }], { format: 'gguf', preTokenizer: 'gpt-2' });
  const [base, without] = [await model.exportFiles([]), await model.exportFiles([{ files, strength: 0 }])];
  await model.dispose();
  await runCli(['merge', '--model', folder, '--adapter', at('adapter'), '--output', at('merged')]);
  const same = (bytes: Uint8Array | undefined, path: string): boolean =>
    Buffer.from(bytes ?? []).equals(readFileSync(path));
  for (const name of ['config.json', 'model.safetensors', 'tokenizer.json'])
    expect([name, same(merged[name], join(at('merged'), name))]).toEqual([name, true]);
  const given = ['--model', folder, '--adapter', at('adapter'), '--merge', '--pre-tokenizer', 'gpt-2'];
  await runCli(['convert', '--to', 'gguf', ...given, '--output', at('model.gguf')]);
  expect(same(gguf['model.gguf'], at('model.gguf'))).toBe(true);
  expect(same(base['model.safetensors'], join(folder, 'model.safetensors'))).toBe(true);
  expect(same(without['model.safetensors'], join(folder, 'model.safetensors'))).toBe(true);
});
