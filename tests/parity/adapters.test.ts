import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '@lowrank/cpu';
import type { LoraAdapter } from '@lowrank/lora';
import { readAdapter, serializeAdapter } from '@lowrank/lora';
import type { LossBatch } from '@lowrank/models';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { activateAdapter, loadAdapter, mergeAdapter, saveAdapter } from '@lowrank/patch';
import type { SafetensorsFile } from '@lowrank/safetensors';
import { bytesSource, fileSource, openSafetensors } from '@lowrank/safetensors';
import type { Backend, Tensor } from '@lowrank/tensor';
import { compile, grad, mul, reshape, tensor } from '@lowrank/tensor';
import { ReferenceBackend } from '@lowrank/tensor/op';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/**
 * Adapters that PEFT made and saved, on models that transformers made: what PyTorch computes with them
 * (parity/README.md).
 */
const root = fileURLToPath(new URL('../../parity/golden/llama/', import.meta.url));

const cases = [
  ['tied', 'qv'],
  ['tied', 'all'],
  ['tied', 'rslora'],
  ['untied', 'all'],
  ['headDim16', 'all'],
  ['bias', 'all'],
  ['ropeLlama3', 'all'],
] as const;

interface Answer {
  readonly plain: { loss: number; tokens: number };
  readonly packed: { loss: number; tokens: number };
  readonly gradNorm: number;
}

interface Golden {
  readonly file: SafetensorsFile;
  readonly base: Answer;
  readonly answer: Answer;
}

async function openGolden(variant: string, name: string): Promise<Golden> {
  const { base, adapters } = JSON.parse(await readFile(`${root}answers/${variant}.json`, 'utf8')) as {
    base: Answer;
    adapters: Record<string, Answer>;
  };
  const answer = adapters[name];
  if (answer === undefined) throw new TypeError(`no golden ${name}`);
  return { file: await openSafetensors(fileSource(`${root}answers/${variant}.safetensors`)), base, answer };
}

async function openAdapter(name: string): Promise<LoraAdapter> {
  const config: unknown = JSON.parse(await readFile(`${root}adapters/${name}/adapter_config.json`, 'utf8'));
  return readAdapter({ config, weights: fileSource(`${root}adapters/${name}/adapter_model.safetensors`), name });
}

async function floats(file: SafetensorsFile, key: string): Promise<Float32Array> {
  return new Float32Array(new Uint8Array(await file.read(key)).buffer);
}

async function batchOf(file: SafetensorsFile, kind: 'plain' | 'packed'): Promise<LossBatch> {
  const read = async (name: string): Promise<Int32Array> =>
    new Int32Array(new Uint8Array(await file.read(`${kind}.${name}`)).buffer);
  const [batch = 0, length = 0] = file.tensors.get(`${kind}.ids`)?.shape ?? [];
  const [ids, positions, labels] = await Promise.all([read('ids'), read('positions'), read('labels')]);
  const shifted = labels.map((_, at) => (at % length === length - 1 ? -100 : (labels[at + 1] ?? -100)));
  // A document begins where positions do.
  const bounds = new Int32Array(2 * ids.length);
  for (let at = 0; at < ids.length; at++) {
    const start = at - (positions[at] ?? 0);
    let end = at + 1;
    while (end % length !== 0 && positions[end] !== 0) end++;
    const row = at - (at % length);
    bounds.set([start - row, end - row], 2 * at);
  }
  const rows = (data: Int32Array): Tensor => tensor(data, [batch, length]);
  return {
    ids: rows(ids),
    positions: rows(positions),
    labels: rows(shifted),
    segments: tensor(bounds, [batch, length, 2]),
  };
}

/** Runs on the backend, planned and fused. */
async function values(backend: Backend, outputs: Record<string, Tensor>): Promise<Map<string, Float32Array>> {
  const step = compile(backend, () => outputs);
  const results = await step.run();
  const read = await Promise.all(
    Object.keys(outputs).map(async (name): Promise<[string, Float32Array]> => [
      name,
      Float32Array.from((await results[name]) ?? []),
    ]),
  );
  await step.dispose();
  return new Map(read);
}

const norm = (numbers: ArrayLike<number>): number =>
  Math.sqrt(Array.from(numbers).reduce((total, value) => total + value * value, 0));

/** |got − want| within a share of the largest |want|, element by element. */
function expectClose(got: ArrayLike<number> | undefined, want: ArrayLike<number>, share: number): void {
  expect(got?.length).toBe(want.length);
  const scale = Math.max(...Array.from(want, Math.abs));
  for (let i = 0; i < want.length; i++)
    expect(Math.abs((got?.[i] ?? NaN) - (want[i] ?? NaN))).toBeLessThanOrEqual(share * scale);
}

const backends = {
  reference: () => Promise.resolve<Backend>(new ReferenceBackend()),
  cpu: (): Promise<Backend> => createCpuBackend(),
};

describe.each(['reference', 'cpu'] as const)('adapters of PEFT on %s', (device) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await backends[device]();
  });
  afterAll(() => backend.dispose());

  test.each(cases)('%s with %s: logits, losses, and the gradient of every matrix', async (variant, name) => {
    const { file, base, answer } = await openGolden(variant, name);
    const model = await loadCausalModel(await openFolder(`${root}${variant}`));
    const { parameters: trained } = await loadAdapter(model, await openAdapter(`${variant}-${name}`));
    for (const kind of ['plain', 'packed'] as const) {
      const batch = await batchOf(file, kind);
      const hidden = model.hidden(batch.ids, { positions: batch.positions, segments: batch.segments });
      const logits = model.logits(reshape(hidden, [batch.ids.size, model.shape.hiddenSize]));
      const [loss, off] = [model.loss(batch), activateAdapter(model, [], () => model.loss(batch))];
      const got = await values(backend, { logits, loss, off });
      expectClose(got.get('logits'), await floats(file, `${name}.${kind}.logits`), 1e-5);
      const { tokens } = answer[kind];
      expect(Math.abs((got.get('loss')?.[0] ?? NaN) / tokens / answer[kind].loss - 1)).toBeLessThan(5e-6);
      expect(Math.abs((got.get('off')?.[0] ?? NaN) / tokens / base[kind].loss - 1)).toBeLessThan(5e-6);
    }
    const loss = mul(model.loss(await batchOf(file, 'plain')), 1 / answer.plain.tokens);
    const gradients = grad(
      loss,
      trained.map(({ parameter }) => parameter.tensor),
    );
    const got = await values(
      backend,
      Object.fromEntries(trained.map((matrix, at) => [matrix.name, gradients[at] ?? loss])),
    );
    for (const [matrix, gradient] of got)
      expectClose(gradient, await floats(file, `${name}.grad.base_model.model.${matrix}.weight`), 5e-5);
    expect(got.size).toBe([...file.tensors.keys()].filter((key) => key.startsWith(`${name}.grad.`)).length);
    expect(Math.abs(norm([...got.values()].flatMap((gradient) => [...gradient])) / answer.gradNorm - 1)).toBeLessThan(
      1e-5,
    );
    model.dispose();
  });

  test('merged and adapted model agree', async () => {
    const { file } = await openGolden('tied', 'all');
    const model = await loadCausalModel(await openFolder(`${root}tied`));
    await loadAdapter(model, await openAdapter('tied-all'));
    const batch = await batchOf(file, 'plain');
    const adapted = (await values(backend, { loss: model.loss(batch) })).get('loss')?.[0] ?? NaN;
    expect((await mergeAdapter(model)).length).toBe(14);
    const merged = (await values(backend, { loss: model.loss(batch) })).get('loss')?.[0] ?? NaN;
    expect(Math.abs(merged / adapted - 1)).toBeLessThan(1e-5);
    model.dispose();
  });

  test('an adapter read, loaded, run and taken out again is the same file', async () => {
    const name = 'tied-rslora';
    const { file } = await openGolden('tied', 'rslora');
    const model = await loadCausalModel(await openFolder(`${root}tied`));
    const adapter = await openAdapter(name);
    await loadAdapter(model, adapter);
    await values(backend, { loss: model.loss(await batchOf(file, 'plain')) });
    const files = serializeAdapter(await saveAdapter(model));
    expect(
      Buffer.compare(
        Buffer.from(files['adapter_model.safetensors'] ?? []),
        await readFile(`${root}adapters/${name}/adapter_model.safetensors`),
      ),
    ).toBe(0);
    const again = await readAdapter({
      config: JSON.parse(new TextDecoder().decode(files['adapter_config.json'])),
      weights: bytesSource(files['adapter_model.safetensors'] ?? new Uint8Array()),
      name,
    });
    expect(again.config).toEqual(adapter.config);
    model.dispose();
  });
});
