import { saveAdapter } from '@lowrank/patch';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { beginEva, inputBatch, openEva, projector } from './evaCases';
import { expectClose, variantRows } from './variantCases';

test('EVA on WebGPU: PEFT’s ranks and subspaces, from two batches of two shapes', async () => {
  const backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
  const opened = await openEva('evaPattern');
  const rows = await variantRows();
  const { config } = await beginEva(opened, {
    backend,
    batches: [inputBatch(rows.slice(0, 1), false), inputBatch(rows.slice(1), false)],
  });
  expect([config.rankPattern, config.alphaPattern]).toEqual([
    opened.theirs.config.rankPattern,
    opened.theirs.config.alphaPattern,
  ]);
  for (const [path, { a, inFeatures }] of (await saveAdapter(opened.model)).layers) {
    const want = opened.theirs.layers.get(path)?.a ?? new Float32Array();
    // PEFT's decomposition of down_proj's 40 inputs is randomized.
    expectClose(projector(a, inFeatures), projector(want, inFeatures), path.includes('down_proj') ? 1e-2 : 2e-4);
  }
  opened.model.dispose();
  backend.dispose();
});
