import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '@lowrank/cpu';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import { expect, test } from 'vitest';
import { evaluateFolder, mergeFolders } from '../../packages/lowrank/src/entries/node.js';

const shared = fileURLToPath(new URL('../../../shared/', import.meta.url));

test.each(['stories260K'])(
  '%s: merged and adapted model have the same loss, and what was not adapted keeps every byte',
  async (name) => {
    const folder = await mkdtemp(join(tmpdir(), 'lowrank-merge-'));
    const data = join(folder, 'rows.jsonl');
    const lines = (await readFile(`${shared}data/datasets/e2e-nlg/train.jsonl`, 'utf8')).split('\n');
    await writeFile(data, lines.slice(300, 400).join('\n'));
    const model = `${shared}data/models/${name}`;
    const adapter = `${shared}golden/${name}-e2e/final`;
    const output = join(folder, 'merged');
    const { merged } = await mergeFolders({ model, adapter, output });
    const backend = await createCpuBackend();
    const adapted = await evaluateFolder({ backend, model, adapter, data });
    const folded = await evaluateFolder({ backend, model: output, data });
    expect(Math.abs(folded.loss / adapted.loss - 1)).toBeLessThan(1e-5);
    const [before, after] = [
      await openSafetensors(fileSource(`${model}/model.safetensors`)),
      await openSafetensors(fileSource(join(output, 'model.safetensors'))),
    ];
    expect([...after.tensors.keys()].sort()).toEqual([...before.tensors.keys()].sort());
    let changed = 0;
    for (const [key, { dtype }] of before.tensors) {
      expect(after.tensors.get(key)?.dtype).toBe(dtype);
      if (Buffer.compare(await before.read(key), await after.read(key)) !== 0) changed++;
    }
    expect(changed).toBe(merged);
    backend.dispose();
    await rm(folder, { recursive: true });
  },
);
