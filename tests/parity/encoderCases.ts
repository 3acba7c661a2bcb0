import { readAdapter } from '@lowrank/lora';
import type { HeadKind, TaskBatch, TaskModel } from '@lowrank/models';
import { loadTaskModel, meanOf, openFolder } from '@lowrank/models';
import type { TrainedParameter } from '@lowrank/nn';
import { activateAdapter, loadAdapter, mergeAdapter } from '@lowrank/patch';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import type { SafetensorsFile } from '@lowrank/safetensors';
import type { Backend, Tensor } from '@lowrank/tensor';
import { compile, crossEntropy, grad, mean, permute, reshape, sqrt, square, tensor } from '@lowrank/tensor';
import { squaredNorm } from '@lowrank/tensor/op';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { Labels } from '../../packages/lowrank/src/tasks/labels.js';
import { targetOf, textClassification } from '../../packages/lowrank/src/tasks/textClassification.js';

const golden = fileURLToPath(new URL('../../parity/golden/encoders/', import.meta.url));

export const encoderFolder = (name: string): string => `${golden}${name}`;

/** Every tiny checkpoint of parity/encoders.py: a new folder there is a new case here. */
export const goldenEncoders: readonly string[] = readdirSync(golden, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .sort();

interface Answers {
  readonly base: {
    readonly loss: number;
    readonly gradNorms: Readonly<Record<string, number>>;
    /** Losses of other labels, where the head has one answer for each row. */
    readonly multi?: number;
    readonly regression?: number;
  };
  readonly adapter: { readonly loss: number };
}

interface Golden {
  readonly kind: HeadKind;
  readonly file: SafetensorsFile;
  readonly answers: Answers;
  /** [N][T] ids of the rows without padding, their token types, and their labels. */
  readonly rows: readonly Row[];
  /** Positions of a padded row. */
  readonly width: number;
}

interface Row {
  readonly ids: readonly number[];
  readonly types: readonly number[];
  /** One for each position, or one for the row; of a span its start and end. */
  readonly labels: readonly number[];
}

const read = async (name: string): Promise<unknown> => JSON.parse(await readFile(`${golden}${name}`, 'utf8'));

export async function openEncoderGolden(name: string): Promise<Golden> {
  const { head: kind } = (await read(`${name}.json`)) as { readonly head: HeadKind };
  const file = await openSafetensors(fileSource(`${encoderFolder(name)}/answers.safetensors`));
  const integers = async (key: string): Promise<number[]> =>
    file.tensors.has(key) ? [...new Int32Array(new Uint8Array(await file.read(key)).buffer)] : [];
  const [count = 0, width = 0] = file.tensors.get('input_ids')?.shape ?? [];
  const [ids, mask, types, labels, starts, ends] = await Promise.all(
    ['input_ids', 'attention_mask', 'token_type_ids', 'labels', 'start_positions', 'end_positions'].map(integers),
  );
  const rows = Array.from({ length: count }, (_, at): Row => {
    const cut = (values: readonly number[] = []): number[] =>
      values.slice(at * width, (at + 1) * width).filter((__, place) => mask?.[at * width + place] === 1);
    const own = kind === 'span' ? [starts?.[at] ?? 0, ends?.[at] ?? 0] : [labels?.[at] ?? 0];
    return { ids: cut(ids), types: cut(types), labels: kind === 'tokens' ? cut(labels) : own };
  });
  return { kind, file, answers: (await read(`${name}/answers.json`)) as Answers, rows, width };
}

/** Rows each in a sequence of its own, padded; or all in one. */
export function layOut(
  { rows, width, kind }: Golden,
  { packed, reads }: { readonly packed: boolean; readonly reads: TaskModel['head']['reads'] },
): TaskBatch & { readonly labels: Tensor } {
  const total = rows.reduce((sum, { ids }) => sum + ids.length, 0);
  const shape = packed ? [1, total] : [rows.length, width];
  const size = packed ? total : rows.length * width;
  const length = packed ? total : width;
  const numbers = (fill: number): Int32Array => new Int32Array(size).fill(fill);
  const [ids, positions, types, documents, labels] = [numbers(0), numbers(0), numbers(0), numbers(-1), numbers(-100)];
  const segments = Int32Array.from({ length: 2 * size }, (_, at) => ((at >> 1) % length) + (at % 2));
  const at: number[] = [];
  let next = 0;
  for (const [document, row] of rows.entries()) {
    const start = packed ? next : document * width;
    next += row.ids.length;
    const first = start % length;
    at.push(reads === 'last' ? start + row.ids.length - 1 : start);
    row.ids.forEach((id, place) => {
      ids[start + place] = id;
      positions[start + place] = place;
      types[start + place] = row.types[place] ?? 0;
      documents[start + place] = document;
      labels[start + place] = row.labels[place] ?? -100;
      segments.set([first, first + row.ids.length], 2 * (start + place));
    });
  }
  return {
    ids: tensor(ids, shape),
    positions: tensor(positions, shape),
    types: tensor(types, shape),
    documents: tensor(documents, shape),
    segments: tensor(segments, [...shape, 2]),
    at: tensor(Int32Array.from(at), [at.length]),
    slots: tensor(Float32Array.from(at.keys()), [at.length]),
    labels:
      kind === 'tokens'
        ? tensor(labels, [size])
        : kind === 'span'
          ? tensor(
              Int32Array.from([...rows.map((row) => row.labels[0] ?? 0), ...rows.map((row) => row.labels[1] ?? 0)]),
              [2 * rows.length],
            )
          : tensor(Int32Array.from(rows.map((row) => row.labels[0] ?? 0)), [rows.length]),
  };
}

type Batch = ReturnType<typeof layOut>;

/** What the golden holds of a model's answer: logits, or the mean of hidden states. */
function answerOf(model: TaskModel, kind: HeadKind, batch: Batch): Tensor {
  const logits = model.logits(batch);
  const { documents, slots } = batch;
  return kind === 'embedding' && documents !== undefined && slots !== undefined
    ? meanOf(logits, { documents, slots })
    : logits;
}

function lossOf(answer: Tensor, { kind, rows, width }: Golden, batch: Batch): Tensor {
  if (kind === 'embedding') return mean(square(answer));
  if (kind !== 'span') return crossEntropy(answer, batch.labels);
  // [N·T, 2] → [2N, T]: starts, then ends.
  const ends = reshape(permute(reshape(answer, [rows.length, width, 2]), [2, 0, 1]), [2 * rows.length, width]);
  return crossEntropy(ends, batch.labels);
}

async function openAdapted(
  name: string,
  kind: HeadKind,
): Promise<{ model: TaskModel; trained: readonly TrainedParameter[] }> {
  const folder = encoderFolder(name);
  const model = await loadTaskModel(await openFolder(folder), { kind, labels: kind === 'span' ? 2 : 3 });
  const adapter = await readAdapter({
    config: await read(`${name}/adapter/adapter_config.json`),
    weights: fileSource(`${folder}/adapter/adapter_model.safetensors`),
    name: folder,
  });
  return { model, trained: (await loadAdapter(model, adapter)).parameters };
}

/**
 * Logits within 1e-4, the loss within 1e-5 of its size and the gradient of each trained matrix within 1e-3 of
 * transformers and PEFT; padded and packed; and the merged model's logits within 1e-4 of the adapter's.
 */
export async function expectEncoderParity(backend: Backend, name: string): Promise<void> {
  const opened = await openEncoderGolden(name);
  const { kind, file, answers } = opened;
  const floats = async (key: string): Promise<Float32Array> =>
    new Float32Array(new Uint8Array(await file.read(key)).buffer);
  const { model, trained } = await openAdapted(name, kind);
  const { reads } = model.head;
  const padded = layOut(opened, { packed: false, reads });
  const packed = layOut(opened, { packed: true, reads });
  const step = compile(backend, () => {
    const adapted = answerOf(model, kind, padded);
    const loss = lossOf(adapted, opened, padded);
    const gradients = grad(
      loss,
      trained.map(({ parameter }) => parameter.tensor),
    );
    const off = activateAdapter(model, [], () => {
      const plain = answerOf(model, kind, padded);
      return { 'base.logits': plain, baseLoss: lossOf(plain, opened, padded) };
    });
    return {
      loss,
      ...off,
      'adapter.logits': adapted,
      packed: answerOf(model, kind, packed),
      ...(kind === 'span' ? {} : { packedLoss: lossOf(answerOf(model, kind, packed), opened, packed) }),
      ...Object.fromEntries(trained.map(({ name: path }, at) => [`grad.${path}`, gradients[at] ?? loss])),
    };
  });
  const results = new Map<string, Float32Array>();
  for (const [key, value] of Object.entries(await step.run())) results.set(key, Float32Array.from(await value));
  const near = (key: string, want: number): void => {
    const got = results.get(key)?.[0] ?? NaN;
    expect({ name, key, got }).toEqual({
      name,
      key,
      got: expect.toSatisfy((value: number) => Math.abs(value / want - 1) < 1e-5, `about ${want}`),
    });
  };
  near('loss', answers.adapter.loss);
  near('baseLoss', answers.base.loss);
  if (kind !== 'span') near('packedLoss', answers.adapter.loss);
  for (const key of ['base.logits', 'adapter.logits'])
    expectClose(results.get(key), spoken(await floats(key), opened), `${name}, ${key}`);
  const alone = spoken(await floats('adapter.logits'), opened);
  expectClose(
    results.get('packed'),
    alone.filter((value) => !Number.isNaN(value)),
    `${name}, packed`,
  );
  const keys = [...file.tensors.keys()].filter((key) => key.startsWith('grad.'));
  // PyTorch gives none to what has no effect, such as the pooler of embeddings.
  const unused = trained.filter(({ name: path }) => !keys.some((key) => pathOfKey(key) === path));
  for (const { name: path } of unused)
    expect([path, results.get(`grad.${path}`)?.every((value) => value === 0)]).toEqual([path, true]);
  expect(trained.length - unused.length).toBe(keys.length);
  for (const key of keys) expectGradient(results.get(`grad.${pathOfKey(key)}`), await floats(key), `${name}, ${key}`);
  await step.dispose();
  await mergeAdapter(model);
  const merged = compile(backend, () => ({ logits: answerOf(model, kind, padded) }));
  expectClose(
    Float32Array.from(await (await merged.run()).logits),
    spoken(await floats('adapter.logits'), opened),
    `${name}, merged`,
  );
  await merged.dispose();
  model.dispose();
}

export function pathOfKey(key: string): string {
  return key.replace(/^grad\.base_model\.model\./, '').replace(/\.(lora_[AB])\.weight$/, '.$1');
}

/** What transformers says at padding is its own business. */
function spoken(values: Float32Array, { kind, rows, width }: Golden): Float32Array {
  if (kind !== 'tokens' && kind !== 'span') return values;
  const columns = values.length / (rows.length * width);
  return values.map((value, at) => {
    const [row, place] = [Math.floor(at / (columns * width)), Math.floor(at / columns) % width];
    return place < (rows[row]?.ids.length ?? 0) ? value : NaN;
  });
}

/** The gradient of every weight has transformers' norm: what training all of a model stands on. */
export async function expectEncoderWeightGradients(backend: Backend, name: string): Promise<void> {
  const opened = await openEncoderGolden(name);
  const { kind, answers } = opened;
  const model = await loadTaskModel(await openFolder(encoderFolder(name)), { kind, labels: kind === 'span' ? 2 : 3 });
  const batch = layOut(opened, { packed: false, reads: model.head.reads });
  const named = [...model.namedParameters()];
  const step = compile(backend, () => {
    const gradients = grad(
      lossOf(answerOf(model, kind, batch), opened, batch),
      named.map(([, { tensor: weight }]) => weight),
    );
    return Object.fromEntries(named.map(([path], at) => [path, sqrt(squaredNorm(gradients[at] ?? batch.ids))]));
  });
  const norms: Record<string, number> = {};
  for (const [path, value] of Object.entries(await step.run())) norms[path] = (await value)[0] ?? NaN;
  const used = Object.keys(answers.base.gradNorms);
  expect(used.filter((path) => !(path in norms))).toEqual([]);
  expect(Object.keys(norms).filter((path) => !used.includes(path) && norms[path] !== 0)).toEqual([]);
  const off = Object.entries(answers.base.gradNorms).filter(
    ([path, want]) => !(Math.abs((norms[path] ?? NaN) - want) < 1e-4 * want + 1e-6),
  );
  expect(off).toEqual([]);
  await step.dispose();
  model.dispose();
}

export function expectClose(got: Float32Array | undefined, want: Float32Array, where: string): void {
  expect([where, got?.length]).toEqual([where, want.length]);
  const worst = want.reduce(
    (top, value, at) => (Number.isNaN(value) ? top : Math.max(top, Math.abs((got?.[at] ?? NaN) - value))),
    0,
  );
  expect({ where, worst }).toEqual({ where, worst: expect.toSatisfy((error: number) => error < 1e-4) });
}

/** Within 1e-3 as a whole, and no element further off than that share of the largest; noise alone where all is tiny. */
export function expectGradient(got: Float32Array | undefined, want: Float32Array, where: string): void {
  expect([where, got?.length]).toEqual([where, want.length]);
  const errors = want.map((value, at) => Math.abs((got?.[at] ?? NaN) - value));
  const largest = (values: Float32Array): number => values.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
  if (largest(want) < 1e-6) return expect([where, largest(errors) < 1e-6]).toEqual([where, true]);
  const worst = largest(errors) / largest(want);
  expect({ where, worst }).toEqual({ where, worst: expect.toSatisfy((error: number) => error < 1e-3) });
}

const labelledOtherwise = {
  multi: { problem: 'multi_label_classification', rows: [[0, 2], [], [1, 2]] },
  regression: {
    problem: 'regression',
    rows: [
      [0.5, -1, 2],
      [0, 0.25, 1],
      [-2, 1, 0.125],
    ],
  },
} as const;

/** The losses of several labels at once and of numbers, as the task lays them out: within 1e-5 of transformers'. */
export async function expectLabelLosses(backend: Backend, name: string): Promise<void> {
  const opened = await openEncoderGolden(name);
  const { base } = opened.answers;
  const model = await loadTaskModel(await openFolder(encoderFolder(name)), { kind: 'sequence', labels: 3 });
  const { reads } = model.head;
  const slots = opened.rows.length;
  for (const [key, { problem, rows }] of Object.entries(labelledOtherwise)) {
    const labels: Labels = { names: ['a', 'b', 'c'], problem };
    const placed = rows.map((label) => {
      const target = targetOf({ label, where: name }, labels);
      return { document: { ids: [], types: [], fullLength: 0, target }, start: 0 };
    });
    const targets = textClassification.targets({ placed, slots, size: 0, labels });
    const step = compile(backend, () => {
      const inputs = Object.fromEntries(
        Object.entries(targets).map(([input, { data, shape }]) => [input, tensor(data, shape)]),
      );
      const lossIn = (packed: boolean): Tensor =>
        textClassification.loss(model, layOut(opened, { packed, reads }), inputs, labels).loss;
      return { padded: lossIn(false), packed: lossIn(true) };
    });
    const want = base[key as keyof typeof labelledOtherwise] ?? NaN;
    for (const [layout, value] of Object.entries(await step.run())) {
      const got = ((await value)[0] ?? NaN) / slots;
      const near = expect.toSatisfy((each: number) => Math.abs(each / want - 1) < 1e-5, `about ${want}`);
      expect({ name, key, layout, got }).toEqual({ name, key, layout, got: near });
    }
    await step.dispose();
  }
  model.dispose();
}
