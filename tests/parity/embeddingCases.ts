import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { LoraAdapter } from '@lowrank/lora';
import { readAdapter } from '@lowrank/lora';
import type { CausalModel, LossBatch } from '@lowrank/models';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { loadAdapter } from '@lowrank/patch';
import type { SafetensorsFile } from '@lowrank/safetensors';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import type { Backend, Tensor } from '@lowrank/tensor';
import { compile, grad, mul, reshape, tensor } from '@lowrank/tensor';
import { expect } from 'vitest';

/** LoRA on embeddings as PEFT has it: parity/embeddings.py. */
export const golden = fileURLToPath(new URL('../../parity/golden/', import.meta.url));

interface Answers {
  readonly base: string;
  readonly embedding: string;
  readonly plain: { readonly loss: number; readonly tokens: number };
  readonly packed: { readonly loss: number; readonly tokens: number };
}

interface Case {
  readonly answers: Answers;
  readonly file: SafetensorsFile;
  readonly model: CausalModel;
  readonly adapter: LoraAdapter;
}

export async function openCase(name: string): Promise<Case> {
  const answers = JSON.parse(await readFile(`${golden}embeddings/${name}.json`, 'utf8')) as Answers;
  const config: unknown = JSON.parse(await readFile(`${golden}embeddings/${name}/adapter_config.json`, 'utf8'));
  const adapter = await readAdapter({
    config,
    weights: fileSource(`${golden}embeddings/${name}/adapter_model.safetensors`),
    name,
  });
  return {
    answers,
    file: await openSafetensors(fileSource(`${golden}embeddings/${name}.safetensors`)),
    model: await loadCausalModel(await openFolder(`${golden}${answers.base}`)),
    adapter,
  };
}

export const floats = async (file: SafetensorsFile, key: string): Promise<Float32Array> =>
  new Float32Array(new Uint8Array(await file.read(key)).buffer);

export async function batchOf(file: SafetensorsFile, kind: 'plain' | 'packed'): Promise<LossBatch> {
  const read = async (name: string): Promise<Int32Array> =>
    new Int32Array(new Uint8Array(await file.read(`${kind}.${name}`)).buffer);
  const [batch = 0, length = 0] = file.tensors.get(`${kind}.ids`)?.shape ?? [];
  const [ids, positions, labels] = await Promise.all([read('ids'), read('positions'), read('labels')]);
  const bounds = new Int32Array(2 * ids.length);
  for (let at = 0; at < ids.length; at++) {
    const row = at - (at % length);
    let end = at + 1;
    while (end % length !== 0 && positions[end] !== 0) end++;
    bounds.set([at - (positions[at] ?? 0) - row, end - row], 2 * at);
  }
  const rows = (data: Int32Array): Tensor => tensor(data, [batch, length]);
  return {
    ids: rows(ids),
    positions: rows(positions),
    labels: rows(labels.map((_, at) => (at % length === length - 1 ? -100 : (labels[at + 1] ?? -100)))),
    segments: tensor(bounds, [batch, length, 2]),
  };
}

export async function values(backend: Backend, outputs: Record<string, Tensor>): Promise<Map<string, Float32Array>> {
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

export function expectClose(got: ArrayLike<number> | undefined, want: ArrayLike<number>, share: number): void {
  expect(got?.length).toBe(want.length);
  const scale = Math.max(...Array.from(want, Math.abs));
  for (let i = 0; i < want.length; i++)
    expect(Math.abs((got?.[i] ?? NaN) - (want[i] ?? NaN))).toBeLessThanOrEqual(share * scale);
}

export const logitsOf = (model: CausalModel, { ids, positions, segments }: LossBatch): Tensor =>
  model.logits(reshape(model.hidden(ids, { positions, segments }), [ids.size, model.shape.hiddenSize]));

/** Logits, losses, and the gradient of every matrix, of one adapter; planned and fused. */
export async function expectEmbeddingParity(backend: Backend, name: string): Promise<void> {
  const { answers, file, model, adapter } = await openCase(name);
  const { parameters: trained } = await loadAdapter(model, adapter);
  for (const kind of ['plain', 'packed'] as const) {
    const batch = await batchOf(file, kind);
    const got = await values(backend, { logits: logitsOf(model, batch), loss: model.loss(batch) });
    expectClose(got.get('logits'), await floats(file, `adapter.${kind}.logits`), 1e-5);
    expect(Math.abs((got.get('loss')?.[0] ?? NaN) / answers[kind].tokens / answers[kind].loss - 1)).toBeLessThan(5e-6);
  }
  const loss = mul(model.loss(await batchOf(file, 'plain')), 1 / answers.plain.tokens);
  const gradients = grad(
    loss,
    trained.map(({ parameter }) => parameter.tensor),
  );
  const got = await values(
    backend,
    Object.fromEntries(
      trained.map((matrix, at) => [
        `adapter.grad.base_model.model.${matrix.name}${matrix.name.includes('embedding') ? '' : '.weight'}`,
        gradients[at] ?? loss,
      ]),
    ),
  );
  for (const [key, gradient] of got) expectClose(gradient, await floats(file, key), 5e-5);
  expect([...got.keys()].sort()).toEqual(
    [...file.tensors.keys()].filter((key) => key.startsWith('adapter.grad.')).sort(),
  );
  model.dispose();
}
