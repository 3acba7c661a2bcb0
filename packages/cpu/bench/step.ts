/**
 * A LoRA training step of the shape of stories3M (6 layers, width 192, 6/2 heads, ffn 512, vocabulary 4096) on about
 * 790 tokens of 8 packed documents.
 */
import type { Backend, Tensor } from '@lowrank/tensor';
import type { Plan } from '@lowrank/tensor/backend';
import {
  add,
  assign,
  attention,
  compile,
  embedding,
  grad,
  linear,
  linearCrossEntropy,
  mul,
  persistent,
  reshape,
  Rng,
  rmsNorm,
  rope,
  scalar,
  swiglu,
  tensor,
} from '@lowrank/tensor';
import { planCost } from '@lowrank/tensor/backend';
import { adamw, clipScale, packAt, squaredNorm, viewAt } from '@lowrank/tensor/op';
import { createCpuBackend } from '../src/index.js';
import type { CpuOptions } from '../src/index.js';

const [vocabulary, width, heads, keyHeads, inner, rank, layerCount] = [4096, 192, 6, 2, 512, 8, 6];
const size = width / heads;
const rng = new Rng(1);

const random = (shape: number[], deviation: number): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal() * deviation),
    shape,
  );

/** f of the angle of each position and pair of a head. */
function rotaryTable(f: (angle: number) => number): Tensor {
  const pairs = size / 2;
  return tensor(
    Float32Array.from({ length: 512 * pairs }, (_, i) => f(Math.floor(i / pairs) * 10000 ** (-(i % pairs) / pairs))),
    [512, pairs],
  );
}

function makeModel() {
  const matrices: [number, number][] = [
    [width, width],
    [width, keyHeads * size],
    [width, keyHeads * size],
    [width, width],
    [width, inner],
    [width, inner],
    [inner, width],
  ];
  let total = 0;
  const placed = Array.from({ length: layerCount }, () =>
    matrices.map(([input, output]) => {
      const [a, b] = [total, total + rank * input];
      total += rank * (input + output);
      return { input, output, a, b };
    }),
  );
  const parameters = random([total], 0.02);
  const layers = placed.map((matricesOfLayer) =>
    matricesOfLayer.map(({ input, output, a, b }) => ({
      w: random([output, input], 0.05),
      a: viewAt(parameters, a, [rank, input]),
      b: viewAt(parameters, b, [output, rank]),
    })),
  );
  const table = random([vocabulary, width], 0.05);
  const norm = tensor(new Float32Array(width).fill(1), [width]);
  const [cosine, sine] = [rotaryTable(Math.cos), rotaryTable(Math.sin)];
  const scale = scalar(2);
  type Matrix = { w: Tensor; a: Tensor; b: Tensor };
  const apply = (x: Tensor, matrix: Matrix | undefined): Tensor => {
    if (matrix === undefined) throw new TypeError('matrix');
    return add(linear(x, matrix.w), linear(mul(linear(x, matrix.a), scale), matrix.b));
  };
  const loss = (ids: Tensor, positions: Tensor, segments: Tensor, labels: Tensor): Tensor => {
    const [batch = 0, length = 0] = ids.shape;
    const split = (t: Tensor, count: number): Tensor => reshape(t, [batch, length, count, size]);
    let x = embedding(table, ids);
    for (const [q, k, v, o, gate, up, down] of layers) {
      const h = rmsNorm(x, norm, 1e-5);
      const queries = rope(split(apply(h, q), heads), cosine, sine, positions);
      const keys = rope(split(apply(h, k), keyHeads), cosine, sine, positions);
      const mixed = attention(queries, keys, split(apply(h, v), keyHeads), { segments });
      x = add(x, apply(reshape(mixed, [batch, length, width]), o));
      const g = rmsNorm(x, norm, 1e-5);
      x = add(x, apply(swiglu(apply(g, gate), apply(g, up)), down));
    }
    return linearCrossEntropy(
      reshape(rmsNorm(x, norm, 1e-5), [batch * length, width]),
      table,
      reshape(labels, [batch * length]),
    );
  };
  return { parameters, total, layers, loss };
}

function makeBatch(documents: number, length: number) {
  const count = documents * length;
  const ids = Int32Array.from({ length: count }, () => rng.integer(vocabulary));
  const document = (i: number): number => Math.floor(i / length) * length;
  return {
    ids: { data: ids, shape: [1, count] },
    positions: { data: Int32Array.from({ length: count }, (_, i) => i % length), shape: [1, count] },
    segments: {
      data: Int32Array.from({ length: 2 * count }, (_, i) => document(i >> 1) + (i % 2) * length),
      shape: [1, count, 2],
    },
    labels: {
      data: Int32Array.from({ length: count }, (_, i) =>
        i % length < length / 2 ? -100 : (ids[(i + 1) % count] ?? 0),
      ),
      shape: [1, count],
    },
  };
}

function makeStep(backend: Backend) {
  const { parameters, total, layers, loss } = makeModel();
  const [firstMoment, secondMoment] = [persistent([total]), persistent([total])];
  const table = tensor(
    Float32Array.from({ length: 2 * Math.ceil(total / 64) }, (_, i) => 1 - (i % 2)),
    [Math.ceil(total / 64), 2],
  );
  const [learningRate, stepSize, biasScale] = [scalar(1e-3), scalar(1e-3), scalar(1)];
  return compile(backend, ({ ids, positions, segments, labels }) => {
    if (ids === undefined || positions === undefined || segments === undefined || labels === undefined)
      throw new TypeError('inputs');
    const total_ = loss(ids, positions, segments, labels);
    const adapters = layers.flatMap((layer) => layer.flatMap(({ a, b }) => [a, b]));
    const gradients = grad(total_, adapters);
    const offsets: number[] = [];
    let at = 0;
    for (const gradient of gradients) {
      offsets.push(at);
      at += gradient.size;
    }
    const gradient = packAt(gradients, offsets, total);
    const norm = squaredNorm(gradient);
    const updated = adamw(
      { parameters, gradient, firstMoment, secondMoment, table },
      { learningRate, stepSize, biasScale, clip: clipScale(norm, 1) },
      { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
    );
    [parameters, firstMoment, secondMoment].forEach((state, index) => assign(state, updated[index] ?? state));
    return { loss: total_, norm };
  });
}

export interface Measured {
  threads: string;
  milliseconds: number;
  best: number;
  gigaflops: number;
  profile: [string, number, number][];
}

/** Median and best time of a step, and where it goes by op (each op run alone, in a plan of one step). */
export async function measureStep(
  options: CpuOptions,
  { documents = 8, length = 99, steps = 9, profile = false } = {},
): Promise<Measured> {
  const backend = await createCpuBackend(options);
  const step = makeStep(backend);
  const inputs = makeBatch(documents, length);
  const plan = await step.prepare(
    Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, { shape, dtype: 'i32' as const }])),
  );
  const times: number[] = [];
  for (let i = 0; i < steps + 3; i++) {
    const start = performance.now();
    const { loss } = await step.run(inputs);
    await loss;
    if (i >= 3) times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  const middle = times[times.length >> 1] ?? NaN;
  const measured = {
    threads: backend.description,
    milliseconds: middle,
    best: times[0] ?? NaN,
    gigaflops: planCost(plan).flops / middle / 1e6,
    profile: profile ? await profileOf(backend, plan, inputs) : [],
  };
  await step.dispose();
  backend.dispose();
  return measured;
}

/** Weights are zeros here, inputs real: which keys a query sees decides what attention costs. */
async function profileOf(
  backend: Backend,
  plan: Plan,
  inputs: ReturnType<typeof makeBatch>,
): Promise<[string, number, number][]> {
  const buffers = plan.buffers.map(({ bytes }) => backend.allocate(bytes, 'profile'));
  for (const { name, buffer, offset } of plan.inputs) {
    const [target, input] = [buffers[buffer], inputs[name as keyof typeof inputs]];
    if (target !== undefined) backend.write(target, offset, input.data);
  }
  const totals = new Map<string, [number, number]>();
  for (const step of plan.steps) {
    const executable = await backend.prepare({ ...plan, steps: [step], outputs: [] }, buffers);
    let best = Infinity;
    for (let i = 0; i < 5; i++) {
      const start = performance.now();
      await executable.run({ inputs: new Uint8Array(), scalars: new Uint8Array(), read: [] });
      best = Math.min(best, performance.now() - start);
    }
    executable.dispose();
    const key =
      step.op === 'matmul'
        ? `matmul ${JSON.stringify(step.attrs)} ${step.inputs.map(({ shape }) => shape.join('x')).join(' ')}`
        : step.op;
    const [count, time] = totals.get(key) ?? [0, 0];
    totals.set(key, [count + 1, time + best]);
  }
  for (const buffer of buffers) buffer.destroy();
  return [...totals]
    .map(([key, [count, time]]): [string, number, number] => [key, count, time])
    .sort((a, b) => b[2] - a[2]);
}
