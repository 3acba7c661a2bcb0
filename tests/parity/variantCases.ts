import type { TrainedParameter } from '@lowrank/nn';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { packBatch } from '@lowrank/data';
import type { EncodedRow } from '@lowrank/data';
import type { LoraAdapter } from '@lowrank/lora';
import { readAdapter } from '@lowrank/lora';
import type { CausalModel, LossBatch } from '@lowrank/models';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { activateAdapter } from '@lowrank/patch';
import type { SafetensorsFile } from '@lowrank/safetensors';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import type { Backend, Tensor } from '@lowrank/tensor';
import { compile, grad, mul, reshape, tensor } from '@lowrank/tensor';
import { train } from '@lowrank/trainer';
import { expect } from 'vitest';

/** What parity/variants.py, saved.py, eva.py and quantizedAdapters.py made, read and computed again. */
export const golden = fileURLToPath(new URL('../../parity/golden/', import.meta.url));

export interface Run {
  readonly steps: number;
  readonly learningRate: number;
  readonly loraPlus: number;
  readonly rows: readonly { readonly ids: readonly number[]; readonly labels: readonly number[] }[];
}

export interface Case {
  readonly answers: { readonly base: string; readonly losses: readonly number[]; readonly mergeIsExact?: boolean };
  readonly file: SafetensorsFile;
  readonly model: CausalModel;
  readonly adapter: LoraAdapter;
}

export const runOf = async (): Promise<Run> => JSON.parse(await readFile(`${golden}variants/rows.json`, 'utf8')) as Run;

/** The rows that all their adapters are trained on. */
export async function variantRows(): Promise<EncodedRow[]> {
  const { rows } = await runOf();
  return rows.map(({ ids, labels }, at) => ({
    line: at + 1,
    ids: Int32Array.from(ids),
    labels: Int32Array.from(labels),
    labelTokens: labels.slice(1).filter((label) => label >= 0).length,
    fullLength: ids.length,
    promptIsPrefix: true,
  }));
}

export async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(path, 'utf8')) as T;
}

/** An adapter that PEFT saved. @param over what its configuration is to say instead */
export async function readFolder(folder: string, over: Readonly<Record<string, unknown>> = {}): Promise<LoraAdapter> {
  return readAdapter({
    config: { ...(await readJson<object>(`${folder}/adapter_config.json`)), ...over },
    weights: fileSource(`${folder}/adapter_model.safetensors`),
    name: folder,
  });
}

export async function openCase(home: string, name: string): Promise<Case> {
  const answers = await readJson<Case['answers']>(`${golden}${home}/${name}.json`);
  return {
    answers,
    file: await openSafetensors(fileSource(`${golden}${home}/${name}.safetensors`)),
    model: await loadCausalModel(await openFolder(`${golden}${answers.base}`)),
    adapter: await readFolder(`${golden}${home}/${name}`),
  };
}

export const floats = async (file: SafetensorsFile, key: string): Promise<Float32Array> =>
  new Float32Array(new Uint8Array(await file.read(key)).buffer);

export async function valuesOf(
  backend: Backend,
  values: () => Record<string, Tensor>,
): Promise<Map<string, Float32Array>> {
  const step = compile(backend, values);
  const results = new Map<string, Float32Array>();
  for (const [key, value] of Object.entries(await step.run())) results.set(key, Float32Array.from(await value));
  await step.dispose();
  return results;
}

export async function valueOf(backend: Backend, value: () => Tensor): Promise<Float32Array> {
  return (await valuesOf(backend, () => ({ value: value() }))).get('value') ?? new Float32Array();
}

/** Every fourth row of the first text's logits. */
export async function logitsOf(backend: Backend, model: CausalModel, off = false): Promise<Float32Array> {
  const ids = Int32Array.from((await runOf()).rows[0]?.ids ?? []);
  const trace = (): Tensor =>
    model.logits(
      reshape(
        model.hidden(tensor(ids, [1, ids.length]), {
          positions: tensor(
            ids.map((_, at) => at),
            [1, ids.length],
          ),
        }),
        [ids.length, model.shape.hiddenSize],
      ),
    );
  const all = await valueOf(backend, () => (off ? activateAdapter(model, [], trace) : trace()));
  const width = all.length / ids.length;
  return all.filter((_, at) => Math.floor(at / width) % 4 === 0);
}

export async function batchOf(): Promise<ReturnType<typeof packBatch>> {
  return packBatch(await variantRows());
}

export function lossBatch({ inputs: { ids, positions, labels, segments } }: ReturnType<typeof packBatch>): LossBatch {
  return {
    ids: tensor(ids.data, ids.shape),
    positions: tensor(positions.data, positions.shape),
    labels: tensor(labels.data, labels.shape),
    segments: tensor(segments.data, segments.shape),
  };
}

/** The gradients of the mean loss over the rows. */
export async function gradientsOf(
  backend: Backend,
  model: CausalModel,
  parameters: readonly TrainedParameter[],
): Promise<Map<string, Float32Array>> {
  const batch = await batchOf();
  return valuesOf(backend, () => {
    const loss = mul(model.loss(lossBatch(batch)), 1 / batch.weight);
    const gradients = grad(
      loss,
      parameters.map(({ parameter }) => parameter.tensor),
    );
    return Object.fromEntries(parameters.map(({ name }, at) => [name, gradients[at] ?? loss]));
  });
}

/** Five steps of AdamW over the rows; the losses. */
export async function trainFive(
  backend: Backend,
  model: CausalModel,
  parameters: readonly TrainedParameter[],
): Promise<number[]> {
  const { steps, learningRate } = await runOf();
  const batch = await batchOf();
  const losses: number[] = [];
  await train({
    createSession: () => ({ backend, loss: (given) => model.loss(given), parameters }),
    batches: (function* () {
      for (;;) yield [batch];
    })(),
    steps,
    learningRate,
    clip: 0,
    onEvent: (event) => void (event.type === 'step' && losses.push(event.loss)),
  });
  return losses;
}

/** Within a share of the largest value. */
export function expectClose(got: ArrayLike<number> | undefined, want: ArrayLike<number>, share: number): void {
  expect(got?.length).toBe(want.length);
  const scale = Math.max(...Array.from(want, Math.abs));
  const worst = Math.max(...Array.from(want, (value, at) => Math.abs((got?.[at] ?? NaN) - value)));
  expect(worst).toBeLessThanOrEqual(share * scale);
}
