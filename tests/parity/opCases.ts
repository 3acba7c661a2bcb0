import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import {
  attention,
  assign,
  compile,
  crossEntropy,
  embedding,
  gelu,
  geluTanh,
  grad,
  layerNorm,
  linear,
  linearCrossEntropy,
  logSoftmax,
  matmul,
  mean,
  mul,
  persistent,
  pow,
  readTensor,
  rmsNorm,
  rope,
  scalar,
  softmax,
  sqrt,
  sum,
  swiglu,
  tensor,
  where,
  add,
} from '@lowrank/tensor';
import { adamw, clipScale, evaluateReference, packAt, squaredNorm, viewAt } from '@lowrank/tensor/op';
import type { Backend, Tensor } from '@lowrank/tensor';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import type { SafetensorsFile } from '@lowrank/safetensors';

const folder = fileURLToPath(new URL('../../parity/golden/', import.meta.url));

interface GoldenCase {
  op: string;
  attributes: Record<string, unknown>;
  inputs?: Record<string, number[]>;
  outputs?: Record<string, number[]>;
}

export const golden = JSON.parse(await readFile(`${folder}ops.json`, 'utf8')) as { cases: Record<string, GoldenCase> };

let file: Promise<SafetensorsFile> | undefined;

export async function goldenTensor(key: string): Promise<Tensor> {
  file ??= openSafetensors(fileSource(`${folder}ops.safetensors`));
  const opened = await file;
  const info = opened.tensors.get(key);
  const bytes = (await opened.read(key)).slice();
  const data = info?.dtype === 'I32' ? new Int32Array(bytes.buffer) : new Float32Array(bytes.buffer);
  return tensor(data, info?.shape ?? []);
}

type Inputs = Record<string, Tensor>;
type Build = (inputs: Inputs, attributes: GoldenCase['attributes']) => Tensor;

const need = (inputs: Inputs, name: string): Tensor => {
  const found = inputs[name];
  if (found === undefined) throw new TypeError(`no golden input ${name}`);
  return found;
};

/** What each golden op is in our terms. */
const builds: Record<string, Build> = {
  matmul: (i, { mode }) => matmul(need(i, 'a'), need(i, 'b'), { transposeA: mode === 'TN', transposeB: mode === 'NT' }),
  rmsNorm: (i, { eps }) => rmsNorm(need(i, 'x'), need(i, 'w'), Number(eps)),
  layerNorm: (i, { eps }) => layerNorm(need(i, 'x'), need(i, 'w'), need(i, 'b'), Number(eps)),
  where: (i) => where(need(i, 'condition'), need(i, 'a'), need(i, 'b')),
  pow: (i, { exponent }) => pow(need(i, 'x'), Number(exponent)),
  powTensor: (i) => pow(need(i, 'x'), need(i, 'power')),
  mean: (i, { axis }) => mean(need(i, 'x'), { axis: axis as number[] }),
  softmax: (i, { axis }) => softmax(need(i, 'x'), { axis: Number(axis) }),
  logSoftmax: (i, { axis }) => logSoftmax(need(i, 'x'), { axis: Number(axis) }),
  crossEntropy: (i, { reduction }) =>
    crossEntropy(need(i, 'logits'), need(i, 'labels'), { reduction: reduction === 'sum' ? 'sum' : 'mean' }),
  gelu: (i, { approximate }) => (approximate === 'tanh' ? geluTanh : gelu)(need(i, 'x')),
  rope(i, { theta }) {
    const x = need(i, 'x');
    const half = (x.shape[3] ?? 0) / 2;
    const table = (f: (angle: number) => number): Tensor =>
      tensor(
        Float32Array.from({ length: 512 * half }, (_, at) =>
          f(Math.floor(at / half) * Number(theta) ** (-(at % half) / half)),
        ),
        [512, half],
      );
    return rope(x, table(Math.cos), table(Math.sin), need(i, 'positions'));
  },
  swiglu: (i) => swiglu(need(i, 'gate'), need(i, 'up')),
  attention: (i, { scale }) =>
    attention(need(i, 'q'), need(i, 'k'), need(i, 'v'), { segments: need(i, 'segments'), scale: Number(scale) }),
  linearCrossEntropy: (i) => linearCrossEntropy(need(i, 'x'), need(i, 'w'), need(i, 'labels')),
  embedding: (i) => embedding(need(i, 'w'), need(i, 'ids')),
  loraLinear: (i, { scaling }) =>
    add(
      linear(need(i, 'x'), need(i, 'w')),
      linear(mul(linear(need(i, 'x'), need(i, 'a')), Number(scaling)), need(i, 'b')),
    ),
};

/** The names of the goldens that are a function and its gradients. */
export const caseNames = Object.entries(golden.cases).flatMap(([name, { op }]) => (op in builds ? [name] : []));

/** y and the gradients of Σ y·dY of one golden case, as lazy tensors under the golden's names. */
export async function buildCase(name: string): Promise<Record<string, Tensor>> {
  const found = golden.cases[name];
  const build = builds[found?.op ?? ''];
  if (found === undefined || build === undefined) throw new TypeError(`no golden ${name}`);
  const inputs: Inputs = {};
  for (const key of Object.keys(found.inputs ?? {})) inputs[key] = await goldenTensor(`${name}.${key}`);
  if (inputs['segments'] !== undefined)
    inputs['segments'] = documentBounds(inputs['segments'], await readTensor(inputs['segments']));
  const y = build(inputs, found.attributes);
  const wanted = Object.keys(found.outputs ?? {}).filter((key) => key !== 'y');
  const gradients = grad(
    sum(mul(y, await goldenTensor(`${name}.dY`))),
    wanted.map((key) => need(inputs, key.slice(1))),
  );
  return { y, ...Object.fromEntries(wanted.map((key, at) => [key, gradients[at] ?? y])) };
}

/** Document numbers [B, T] as the bounds [B, T, 2] that attention takes. */
function documentBounds(ids: Tensor, values: ArrayLike<number>): Tensor {
  const [batch = 0, length = 0] = ids.shape;
  const bounds = new Int32Array(batch * length * 2);
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < length; t++) {
      const id = (at: number): number | undefined => (at < 0 || at >= length ? undefined : values[b * length + at]);
      let [start, end] = [t, t + 1];
      while (id(start - 1) === id(t)) start--;
      while (id(end) === id(t)) end++;
      bounds.set([start, end], (b * length + t) * 2);
    }
  }
  return tensor(bounds, [batch, length, 2]);
}

/**
 * Compares with PyTorch's f32 result: both round, so the bound is a few f32 roundings of the largest value. PyTorch
 * makes RoPE's angles in f32 (ours come from f64), which is off by up to position·2⁻²⁴.
 */
export async function expectGolden(name: string, key: string, got: ArrayLike<number>): Promise<void> {
  const want = await readTensor(await goldenTensor(`${name}.${key}`));
  expect(got.length).toBe(want.length);
  const tolerance = name.startsWith('rope') ? 2e-5 : 4e-6;
  const scale = Math.max(0.5, ...Array.from(want, Math.abs));
  for (let i = 0; i < want.length; i++)
    expect(Math.abs((got[i] ?? NaN) - (want[i] ?? NaN))).toBeLessThan(tolerance * scale);
}

/** Runs a golden case on a backend, planned and fused. */
export async function runCase(backend: Backend, name: string): Promise<void> {
  const outputs = await buildCase(name);
  const step = compile(backend, () => outputs);
  const results = await step.run();
  for (const key of Object.keys(outputs)) await expectGolden(name, key, (await results[key]) ?? []);
  await step.dispose();
}

/** The same by the references alone. */
export async function referenceCase(name: string): Promise<void> {
  const outputs = await buildCase(name);
  const values = await evaluateReference(Object.values(outputs));
  for (const [at, key] of Object.keys(outputs).entries()) await expectGolden(name, key, values[at] ?? []);
}

/** Five clipped AdamW steps over one flat vector against torch.optim.AdamW. */
export async function runAdamw(backend: Backend): Promise<void> {
  const { attributes } = golden.cases['adamW'] ?? { attributes: {} };
  const { betas, eps, weightDecay, clip, learningRates, gradNorms } = attributes as {
    betas: [number, number];
    eps: number;
    weightDecay: number;
    clip: number;
    learningRates: number[];
    gradNorms: number[];
  };
  const initial = await Promise.all([0, 1, 2].map((i) => goldenTensor(`adamW.p${i}.0`)));
  const offsets: number[] = [];
  let size = 0;
  for (const { size: own } of initial) {
    offsets.push(size);
    size += Math.ceil(own / 64) * 64;
  }
  const data = new Float32Array(size);
  for (const [i, p] of initial.entries()) data.set(await readTensor(p), offsets[i]);
  const [flat, m, v] = [tensor(data, [size]), persistent([size]), persistent([size])];
  const table = tensor(
    new Float32Array(size / 32).map((_, i) => (i % 2 === 0 ? 1 : weightDecay)),
    [size / 64, 2],
  );
  const [learningRate, stepSize, biasScale] = [scalar(0), scalar(0), scalar(0)];
  const step = compile(backend, (inputs) => {
    const gradient = packAt(
      initial.map((_, i) => need(inputs, `g${i}`)),
      offsets,
      size,
    );
    const norm = squaredNorm(gradient);
    const state = { parameters: flat, gradient, firstMoment: m, secondMoment: v, table };
    const [p = flat, first = m, second = v] = adamw(
      state,
      { learningRate, stepSize, biasScale, clip: clipScale(norm, clip) },
      { beta1: betas[0], beta2: betas[1], epsilon: eps },
    );
    assign(flat, p);
    assign(m, first);
    assign(v, second);
    return { norm: sqrt(norm) };
  });
  for (const [at, rate] of learningRates.entries()) {
    learningRate.value = rate;
    stepSize.value = rate / (1 - betas[0] ** (at + 1));
    biasScale.value = 1 / Math.sqrt(1 - betas[1] ** (at + 1));
    const inputs: Record<string, { data: Float32Array; shape: readonly number[] }> = {};
    for (const i of [0, 1, 2]) {
      const g = await goldenTensor(`adamW.g${i}.${at + 1}`);
      inputs[`g${i}`] = { data: (await readTensor(g)) as Float32Array, shape: g.shape };
    }
    const { norm } = await step.run(inputs);
    expect(Math.abs(((await norm)[0] ?? NaN) / (gradNorms[at] ?? NaN) - 1)).toBeLessThan(1e-6);
    for (const [i, p] of initial.entries())
      await expectGolden('adamW', `p${i}.${at + 1}`, await readTensor(viewAt(flat, offsets[i] ?? 0, p.shape)));
  }
  for (const [i, p] of initial.entries()) {
    await expectGolden('adamW', `m${i}.5`, await readTensor(viewAt(m, offsets[i] ?? 0, p.shape)));
    await expectGolden('adamW', `v${i}.5`, await readTensor(viewAt(v, offsets[i] ?? 0, p.shape)));
  }
  await step.dispose();
}
