import { describe, expect, test } from 'vitest';
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
  readTensor,
  reshape,
  Rng,
  rmsNorm,
  rope,
  scalar,
  swiglu,
  sum,
  Tensor,
  tensor,
} from './index.js';
import { dumpPlan, planCost, runUnplanned } from './entries/backend.js';
import {
  adamw,
  evaluateReference,
  packAt,
  ReferenceBackend,
  sourceOf,
  squaredNorm,
  clipScale,
  viewAt,
} from './entries/op.js';
import type { HostTensor } from './index.js';

const rng = new Rng(7);
const weights = (...shape: number[]): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal() * 0.3),
    shape,
  );

/** A one-layer decoder with LoRA on every projection, small enough for the references. */
function tinyModel() {
  const [vocabulary, width, heads, keyHeads, inner, rank] = [70, 8, 2, 1, 12, 2];
  const size = width / heads;
  const table = weights(vocabulary, width);
  const lora = (input: number, output: number) => ({
    w: weights(output, input),
    a: weights(rank, input),
    b: weights(output, rank),
  });
  const layers = {
    q: lora(width, width),
    k: lora(width, keyHeads * size),
    v: lora(width, keyHeads * size),
    o: lora(width, width),
    gate: lora(width, inner),
    up: lora(width, inner),
    down: lora(inner, width),
  };
  const norm = tensor(new Float32Array(width).fill(1), [width]);
  const angles = (f: (x: number) => number) =>
    tensor(
      Float32Array.from({ length: 200 * (size / 2) }, (_, i) =>
        f(Math.floor(i / (size / 2)) * 10 ** -(i % (size / 2))),
      ),
      [200, size / 2],
    );
  const [cos, sin] = [angles(Math.cos), angles(Math.sin)];
  const scale = scalar(0.5);
  const apply = (x: Tensor, { w, a, b }: { w: Tensor; a: Tensor; b: Tensor }) =>
    add(linear(x, w), linear(mul(linear(x, a), scale), b));
  const loss = ({ ids, positions, segments, labels }: Record<string, Tensor>) => {
    if (ids === undefined || positions === undefined || segments === undefined || labels === undefined)
      throw new TypeError();
    const [batch = 0, length = 0] = ids.shape;
    let x = embedding(table, ids);
    const h = rmsNorm(x, norm, 1e-5);
    const split = (t: Tensor, count: number) => reshape(t, [batch, length, count, size]);
    const q = rope(split(apply(h, layers.q), heads), cos, sin, positions);
    const k = rope(split(apply(h, layers.k), keyHeads), cos, sin, positions);
    const o = attention(q, k, split(apply(h, layers.v), keyHeads), { segments });
    x = add(x, apply(reshape(o, [batch, length, width]), layers.o));
    const g = rmsNorm(x, norm, 1e-5);
    x = add(x, apply(swiglu(apply(g, layers.gate), apply(g, layers.up)), layers.down));
    return linearCrossEntropy(
      reshape(rmsNorm(x, norm, 1e-5), [batch * length, width]),
      table,
      reshape(labels, [batch * length]),
    );
  };
  const adapters = Object.values(layers).flatMap(({ a, b }) => [a, b]);
  return { loss, adapters, table, scale };
}

function batch(length: number): Record<string, HostTensor> {
  const half = Math.floor(length / 2);
  const ids = Int32Array.from({ length }, () => rng.integer(70));
  return {
    ids: { data: ids, shape: [1, length] },
    positions: { data: Int32Array.from({ length }, (_, i) => (i < half ? i : i - half)), shape: [1, length] },
    segments: {
      data: Int32Array.from({ length: 2 * length }, (_, i) => (i >> 1 < half ? [0, half] : [half, length])[i % 2] ?? 0),
      shape: [1, length, 2],
    },
    labels: { data: ids.map((_, i) => (i % 3 === 0 ? -100 : (ids[(i + 1) % length] ?? 0))), shape: [1, length] },
  };
}

const specs = (inputs: Record<string, HostTensor>) =>
  Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, { shape, dtype: 'i32' as const }]));

async function oracle(
  fn: (inputs: Record<string, Tensor>) => Record<string, Tensor>,
  inputs: Record<string, HostTensor>,
) {
  const given = Object.fromEntries(
    Object.entries(inputs).map(([name, { data, shape }]) => [name, tensor(data, shape)]),
  );
  const outputs = fn(given);
  const values = await evaluateReference(Object.values(outputs));
  return Object.fromEntries(Object.keys(outputs).map((name, at) => [name, values[at] ?? new Float64Array()]));
}

const near = (got: ArrayLike<number>, want: ArrayLike<number>, tolerance = 2e-5) => {
  expect(got.length).toBe(want.length);
  const scale = Math.max(1e-3, ...Array.from(want, Math.abs));
  for (let i = 0; i < want.length; i++)
    expect(Math.abs((got[i] ?? NaN) - (want[i] ?? NaN)) / scale).toBeLessThan(tolerance);
};

describe('a training graph', () => {
  for (const [name, options, spec] of [
    ['planned and fused', {}, {}],
    ['planned, unfused', { fusion: false }, {}],
    ['without separated reads and writes', {}, { separateReadWrite: false, alignment: 64 }],
    ['with launches gathered', {}, { launchClass: (op: string) => op }],
  ] as const) {
    test(`${name}: loss and gradients are the reference's`, async () => {
      const backend = new ReferenceBackend(spec);
      const { loss, adapters, table } = tinyModel();
      const fn = (inputs: Record<string, Tensor>) => {
        const value = loss(inputs);
        return { value, ...Object.fromEntries(grad(value, [...adapters, table]).map((g, at) => [`g${at}`, g])) };
      };
      const inputs = batch(150);
      const want = await oracle(fn, inputs);
      const step = compile(backend, fn, options);
      const got = await step.run(inputs);
      for (const key of Object.keys(want)) near(await got[key as keyof typeof got], want[key] ?? []);
      const trace = step.trace(specs(inputs));
      const plain = await runUnplanned(backend, trace, inputs);
      for (const key of Object.keys(want)) near(plain[key] ?? [], want[key] ?? []);
      await step.dispose();
    });
  }

  test('the low-rank products become epilogues and the plan holds neither whole logits nor a T×T matrix', () => {
    const { loss, adapters } = tinyModel();
    const length = 150;
    const step = compile(new ReferenceBackend(), (inputs) => {
      const value = loss(inputs);
      return { value, ...Object.fromEntries(grad(value, adapters).map((g, at) => [`g${at}`, g])) };
    });
    const plan = step.plan(specs(batch(length)));
    const text = dumpPlan(plan);
    // 7 layers forward; backward 4 dX, since below the first attention nothing is trained.
    expect(plan.steps.filter(({ attrs }) => 'lowRank' in attrs && attrs.lowRank !== undefined).length).toBe(11);
    expect(text).not.toContain(`[${length}, 70]`);
    expect(text).not.toContain(`${length}, ${length}]`);
    // What is left to add are the residual's gradient and a norm's, twice: no product is among them.
    expect(
      plan.steps.filter(({ op, attrs }) => op === 'elementwise' && JSON.stringify(attrs).includes('"add"')).length,
    ).toBeLessThanOrEqual(2);
    expect(planCost(plan).flops).toBeGreaterThan(1e5);
  });

  test('state is updated in place: flat parameters, gradient packed where it is made, one AdamW', async () => {
    const { loss, adapters } = tinyModel();
    const plain = adapters.map((adapter) => adapter.shape);
    const offsets: number[] = [];
    let size = 0;
    for (const adapter of adapters) {
      offsets.push(size);
      size += Math.ceil(adapter.size / 64) * 64;
    }
    const flatData = new Float32Array(size);
    for (const [at, adapter] of adapters.entries()) flatData.set(await readTensor(adapter), offsets[at]);
    const initial = flatData.slice();
    const [flat, m, v] = [tensor(flatData, [size], { name: 'flat' }), persistent([size]), persistent([size])];
    const views = plain.map((shape, at) => viewAt(flat, offsets[at] ?? 0, shape));
    const table = tensor(
      new Float32Array(size / 32).map((_, i) => (i % 2 === 0 ? 1 : 0.01)),
      [size / 64, 2],
    );
    const [lr, stepSize, biasScale, limit] = [scalar(3e-2), scalar(0), scalar(0), scalar(1)];
    // Gradients with respect to the views, through a loss on the original tensors' places.
    const fn = (inputs: Record<string, Tensor>) => {
      const value = lossOver(loss, adapters, views, inputs);
      const gradients = grad(value, views);
      const gradient = packAt(gradients, offsets, size);
      const norm = squaredNorm(gradient);
      const [p, first, second] = adamw(
        { parameters: flat, gradient, firstMoment: m, secondMoment: v, table },
        { learningRate: lr, stepSize, biasScale, clip: clipScale(norm, limit) },
        { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
      );
      if (p === undefined || first === undefined || second === undefined) throw new TypeError();
      assign(flat, p);
      assign(m, first);
      assign(v, second);
      return { value, norm, p, gradient };
    };
    const backend = new ReferenceBackend();
    const inputs = batch(66);
    const setStep = (t: number) => {
      stepSize.value = 3e-2 / (1 - 0.9 ** t);
      biasScale.value = 1 / Math.sqrt(1 - 0.999 ** t);
    };
    setStep(1);
    const { p: expected } = await oracleOf(fn, inputs);
    const step = compile(backend, fn);
    const first = await step.run(inputs, { read: ['value', 'norm'] });
    near(await readTensor(flat), expected ?? [], 1e-4);
    expect(Array.from(await readTensor(flat))).not.toEqual(Array.from(initial));
    const before = await first.value;
    for (let t = 2; t < 8; t++) {
      setStep(t);
      await step.run(inputs, { read: [] });
    }
    const after = await (await step.run(inputs, { read: ['value'] })).value;
    expect(after[0] ?? NaN).toBeLessThan((before[0] ?? NaN) * 0.95);
    const plan = step.plan(specs(inputs));
    const update = plan.steps.find(({ op }) => op === 'adamw');
    expect(update?.inputs[0]?.buffer).toBe(update?.outputs[0]?.buffer);
    expect(
      plan.steps.filter(
        ({ op, attrs }) => op === 'concat' || (op === 'elementwise' && JSON.stringify(attrs).includes('copy')),
      ).length,
    ).toBeLessThanOrEqual(2);
    await step.dispose();
    [flat, m, v, table, ...adapters].forEach((state) => state.dispose());
  });

  test('memory: allocated bytes are the plan’s, and nothing is left after dispose', async () => {
    const { loss, adapters, table } = tinyModel();
    const backend = new ReferenceBackend();
    const step = compile(backend, (inputs) => ({ value: loss(inputs), g: grad(loss(inputs), adapters)[0] ?? table }));
    const inputs = batch(70);
    const plan = await step.prepare(specs(inputs));
    await step.run(inputs);
    expect(backend.memory.bytes).toBe(plan.buffers.reduce((total, { bytes }) => total + Math.max(4, bytes), 0));
    await step.dispose();
    const sources = plan.buffers.flatMap((buffer) => (buffer.kind === 'source' ? [buffer.source] : []));
    sources.forEach((source) => source.dispose());
    expect(backend.memory.buffers).toBe(0);
  });
});

/** The model's loss with each adapter replaced by its view: the layers read the tensors they are given. */
function lossOver(
  loss: (inputs: Record<string, Tensor>) => Tensor,
  adapters: Tensor[],
  views: Tensor[],
  inputs: Record<string, Tensor>,
): Tensor {
  return substitute(loss(inputs), new Map(adapters.map((adapter, at) => [sourceOf(adapter), views[at] ?? adapter])));
}

function substitute(root: Tensor, by: Map<unknown, Tensor>): Tensor {
  const done = new Map<unknown, Tensor[]>();
  const visit = (t: Tensor): Tensor => {
    const replaced = by.get(t.node);
    if (replaced !== undefined) return replaced;
    if (t.node.kind !== 'op') return t;
    const known = done.get(t.node);
    if (known !== undefined) return known[t.index] ?? t;
    const { op, inputs, outputs } = t.node;
    const attrs = t.node.attrs as { vjp: (g: Tensor, needs: readonly boolean[]) => readonly (Tensor | undefined)[] };
    const custom =
      op.name === 'custom'
        ? {
            vjp: (g: Tensor, needs: readonly boolean[]) =>
              attrs.vjp(g, needs).map((x) => (x === undefined ? undefined : visit(x))),
          }
        : attrs;
    const node = new (t.node.constructor as new (...args: unknown[]) => Tensor['node'])({
      op,
      attrs: custom,
      inputs: inputs.map(visit),
      outputs,
    });
    const tensors = outputs.map((_, index) => new Tensor(node, index));
    done.set(t.node, tensors);
    return tensors[t.index] ?? t;
  };
  return visit(root);
}

async function oracleOf(
  fn: (inputs: Record<string, Tensor>) => Record<string, Tensor>,
  inputs: Record<string, HostTensor>,
) {
  const given = Object.fromEntries(
    Object.entries(inputs).map(([name, { data, shape }]) => [name, tensor(data, shape)]),
  );
  const { trace: traceOf } = await import('./trace.js');
  let outputs: Record<string, Tensor> = {};
  traceOf(() => (outputs = fn(given)), {});
  const values = await evaluateReference(Object.values(outputs));
  return Object.fromEntries(Object.keys(outputs).map((name, at) => [name, values[at]]));
}

test('the order of assignments does not matter: two states can be swapped', async () => {
  const backend = new ReferenceBackend();
  const [a, b] = [tensor([1, 2, 3]), tensor([4, 5, 6])];
  const swap = compile(backend, () => {
    assign(a, b);
    assign(b, a);
    return { total: sum(add(a, b)) };
  });
  await (
    await swap.run()
  ).total;
  expect(Array.from(await readTensor(a))).toEqual([4, 5, 6]);
  expect(Array.from(await readTensor(b))).toEqual([1, 2, 3]);
});

test(
  'an argument given as a persistent tensor is donated: written in place, one plan for any tensor of ' + 'its shape',
  async () => {
    const backend = new ReferenceBackend();
    let traced = 0;
    const double = compile(backend, ({ x = tensor(0) }) => {
      traced++;
      assign(x, mul(x, 2));
      return {};
    });
    const [a, b] = [tensor([1, 2]), tensor([3, 4])];
    await double.run({ x: a });
    const { buffers } = backend.memory;
    await double.run({ x: a });
    expect(backend.memory.buffers).toBe(buffers);
    await double.run({ x: b });
    expect(Array.from(await readTensor(a))).toEqual([4, 8]);
    expect(Array.from(await readTensor(b))).toEqual([6, 8]);
    expect(traced).toBe(1);
    await expect(double.run({ x: { data: Float32Array.of(1, 2), shape: [2] } })).rejects.toThrow(
      /assign to x: expected a persistent tensor/,
    );
  },
);

test('a missing argument is named', async () => {
  const step = compile(new ReferenceBackend(), ({ x }) => ({ y: x === undefined ? tensor(1) : mul(x, 2) }));
  await expect(step.run({ x: { data: Float32Array.of(1, 2, 3), shape: [2] } })).rejects.toThrow(
    /the input x: expected 2 elements/,
  );
});

test('scalars are data: a new value needs no new plan', async () => {
  const rate = scalar(2);
  let traced = 0;
  const step = compile(new ReferenceBackend(), () => {
    traced++;
    return { y: mul(tensor([1, 2]), rate) };
  });
  for (const value of [2, 3, 5]) {
    rate.value = value;
    expect(Array.from(await (await step.run()).y)).toEqual([value, 2 * value]);
  }
  expect(traced).toBe(1);
});

test('an op that only works in place works on a copy where the old state is still wanted', async () => {
  const state = () => ({
    parameters: tensor([1, 2, 3]),
    gradient: tensor([0.5, -1, 2]),
    firstMoment: persistent([3]),
    secondMoment: persistent([3]),
    table: tensor([1, 0], [1, 2]),
  });
  const numbers = { learningRate: scalar(0.1), stepSize: scalar(1), biasScale: scalar(31.6), clip: scalar(1) };
  const update = (from: ReturnType<typeof state>) => adamw(from, numbers, { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 });
  const kept = state();
  const backend = new ReferenceBackend();
  // Not assigned: the parameters stay as they are.
  const step = compile(backend, () => ({ p: update(kept)[0] ?? tensor(0) }));
  const moved = await (await step.run()).p;
  expect(Array.from(await readTensor(kept.parameters))).toEqual([1, 2, 3]);
  const plan = step.plan({});
  const launch = plan.steps.find(({ op }) => op === 'adamw');
  expect(launch?.inputs[0]).toMatchObject({ buffer: launch?.outputs[0]?.buffer, offset: launch?.outputs[0]?.offset });
  const [want] = await evaluateReference([update(state())[0] ?? tensor(0)]);
  near(moved, want ?? []);
});

test('what a run still has to deliver outlives a larger shape that replaces the shared memory', async () => {
  const backend = new ReferenceBackend();
  const arrivals: string[] = [];
  const prepare = backend.prepare.bind(backend);
  backend.prepare = async (plan, buffers) => {
    const executable = await prepare(plan, buffers);
    return {
      async run(request) {
        const { outputs } = await executable.run(request);
        // As a device does: the data comes later.
        return {
          outputs: outputs.map(
            async (output) => (await new Promise((resolve) => setTimeout(resolve, 20)), arrivals.push('read'), output),
          ),
        };
      },
      dispose() {
        arrivals.push('freed');
        executable.dispose();
      },
    };
  };
  const step = compile(backend, ({ x = tensor(0) }) => ({ y: sum(mul(add(x, 1), x)) }));
  const ones = (length: number) => ({ x: { data: new Float32Array(length).fill(1), shape: [length] } });
  // In one arena the small shape runs, the large one makes the arena grow, and the small one has to be prepared again.
  const first = await step.run(ones(10));
  await step.run(ones(5000));
  const again = await step.run(ones(10));
  expect((await first.y)[0]).toBe(20);
  expect((await again.y)[0]).toBe(20);
  await step.dispose();
  expect(arrivals.indexOf('freed')).toBeGreaterThan(0);
});
