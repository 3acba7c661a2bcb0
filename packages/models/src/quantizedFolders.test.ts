import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { QuantizedLinear } from '@lowrank/quant';
import type { ByteSource } from '@lowrank/safetensors';
import { bytesSource, fileSource, openSafetensors } from '@lowrank/safetensors';
import { reshape, tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { describe, expect, test } from 'vitest';
import type { ModelFiles } from './files.js';
import { filesBy, openFolder } from './files.js';
import { loadCausalModel } from './load.js';

/** Folders that transformers quantized with bitsandbytes, and its logits over them in f32 (parity/quant.py). */
const folder = fileURLToPath(new URL('../../../parity/golden/quant/models/', import.meta.url));
const answers = await openSafetensors(fileSource(`${folder}answers.safetensors`));
const read = async (key: string): Promise<ArrayBuffer> => new Uint8Array(await answers.read(key)).buffer;
const ids = new Int32Array(await read('ids'));
const [batch = 0, length = 0] = answers.tensors.get('ids')?.shape ?? [];

async function logitsOf(files: ModelFiles): Promise<Float64Array> {
  const model = await loadCausalModel(files);
  const positions = tensor(
    ids.map((_, at) => at % length),
    [batch, length],
  );
  const segments = tensor(
    Int32Array.from({ length: 2 * batch * length }, (_, at) => (at % 2) * length),
    [batch, length, 2],
  );
  const hidden = model.hidden(tensor(ids, [batch, length]), { positions, segments });
  const [logits = new Float64Array()] = await evaluateReference([
    model.logits(reshape(hidden, [batch * length, model.shape.hiddenSize])),
  ]);
  return logits;
}

function farthest(ours: Float64Array, theirs: Float32Array): number {
  expect(ours.length).toBe(theirs.length);
  return ours.reduce((worst, value, at) => Math.max(worst, Math.abs(value - (theirs[at] ?? NaN))), 0);
}

test.each(['nf4', 'nf4Double', 'fp4', 'nf4Skip'])('%s: its logits are those of transformers', async (kind) => {
  expect(
    farthest(await logitsOf(await openFolder(`${folder}${kind}`)), new Float32Array(await read(kind))),
  ).toBeLessThan(1e-3);
});

test('int8: near transformers’, which quantizes activations too', async () => {
  const logits = await logitsOf(await openFolder(`${folder}int8`));
  const theirs = new Float32Array(await read('int8'));
  const largest = theirs.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expect(farthest(logits, theirs)).toBeLessThan(0.05 * largest);
});

test('layers that the checkpoint leaves dense stay so', async () => {
  const quantized = async (kind: string): Promise<number> =>
    [...(await loadCausalModel(await openFolder(`${folder}${kind}`))).namedModules()].filter(
      ([, module]) => module instanceof QuantizedLinear,
    ).length;
  expect(await quantized('nf4')).toBeGreaterThan(await quantized('nf4Skip'));
});

describe('what makes no sense is refused', () => {
  const config = async (): Promise<Record<string, unknown>> =>
    JSON.parse(await readFile(`${folder}nf4/config.json`, 'utf8')) as Record<string, unknown>;
  const text = (value: unknown): ByteSource =>
    bytesSource(new TextEncoder().encode(JSON.stringify(value)), 'config.json');
  const files = (json: unknown): ModelFiles =>
    filesBy({ 'config.json': text(json), 'model.safetensors': fileSource(`${folder}nf4/model.safetensors`) }, 'here');

  test('quantizing what is quantized, or widening it', async () => {
    await expect(loadCausalModel(files(await config()), { quantization: { type: 'nf4' } })).rejects.toThrow(
      /quantization to nf4.*already/s,
    );
    await expect(loadCausalModel(files(await config()), { widen: true })).rejects.toThrow(/f32.*nf4 already/s);
  });

  test('another method', async () => {
    await expect(
      loadCausalModel(files({ ...(await config()), quantization_config: { quant_method: 'gptq', bits: 4 } })),
    ).rejects.toThrow(/gptq/);
  });

  test('codes of another shape than the config calls for', async () => {
    await expect(loadCausalModel(files({ ...(await config()), intermediate_size: 64 }))).rejects.toThrow(
      /misshapen: .*in codes/,
    );
  });
});
