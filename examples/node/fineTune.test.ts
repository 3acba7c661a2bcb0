import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { createCpuBackend } from '@lowrank/cpu';
import { packBatch, readDataset, readTokenizer } from '@lowrank/data';
import { readAdapter } from '@lowrank/lora';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { loadAdapter } from '@lowrank/patch';
import { fileSource } from '@lowrank/safetensors';
import { evaluate } from '@lowrank/trainer';
import { fineTune } from './fineTune.mjs';

const golden = fileURLToPath(new URL('../../parity/golden/llama/', import.meta.url));
const model = `${golden}tied`;
const data = `${golden}train/rows.jsonl`;
const output = mkdtempSync(join(tmpdir(), 'fineTune-'));
afterEach(() => rmSync(output, { recursive: true, force: true }));

test('the script learns, and saves an adapter that computes what was trained', async () => {
  const losses: number[] = [];
  const finalLoss = await fineTune({
    model,
    data,
    output,
    steps: 40,
    onEvent: (event: { type: string; loss: number }) => event.type === 'step' && losses.push(event.loss),
  });
  expect(losses).toHaveLength(40);
  expect(finalLoss).toBe(losses.at(-1));
  expect(finalLoss).toBeLessThan((losses[0] ?? 0) / 2);

  const files = JSON.parse(readFileSync(join(output, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
  expect(files).toMatchObject({ peft_type: 'LORA', r: 4, lora_alpha: 8 });

  // A base with the saved adapter is as good on the rows as the run said, and far better than the base.
  const backend = await createCpuBackend();
  const { rows } = await readDataset(data, await readTokenizer(model));
  const loaded = await loadCausalModel(await openFolder(model));
  const lossOf = async (): Promise<number> =>
    (await evaluate({ backend, loss: (batch) => loaded.loss(batch), batches: [packBatch(rows)] })).loss;
  const before = await lossOf();
  await loadAdapter(
    loaded,
    await readAdapter({ config: files, weights: fileSource(join(output, 'adapter_model.safetensors')), name: output }),
  );
  const after = await lossOf();
  expect(before).toBeGreaterThan(7);
  expect(after).toBeLessThan(before / 2);
  backend.dispose();
});

test('the library part of the script stays under 25 lines', () => {
  const source = readFileSync(new URL('fineTune.mjs', import.meta.url), 'utf8');
  const [, part = ''] = /#region fineTune\n([\s\S]*?)\/\/ #endregion/.exec(source) ?? [];
  const lines = part.split('\n').filter((line) => line.trim() !== '');
  expect(lines.length).toBeGreaterThan(10);
  expect(lines.length).toBeLessThanOrEqual(25);
});
