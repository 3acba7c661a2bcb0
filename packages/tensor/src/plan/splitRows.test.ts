import { expect, test } from 'vitest';
import type { Backend, DType, HostArray, Tensor } from '../index.js';
import {
  add,
  argmax,
  assign,
  cast,
  compile,
  embedding,
  fromNumbers,
  grad,
  linear,
  linearCrossEntropy,
  matmul,
  max,
  mul,
  permute,
  persistent,
  readTensor,
  reshape,
  Rng,
  scalar,
  sqrt,
  square,
  sum,
  tensor,
} from '../index.js';
import { planMemory, planCost, runUnplanned } from '../entries/backend.js';
import {
  adamw,
  adamw8bit,
  EncodedMatrix,
  momentMaps,
  ReferenceBackend,
  rows,
  sourceOf,
  squaredNorm,
  viewAt,
} from '../entries/op.js';

const small = { maxBindingBytes: 4096, maxBufferBytes: 4096 };
const tokens = 3;

function numbers(count: number, seed: number): number[] {
  const rng = new Rng(seed);
  return Array.from({ length: count }, () => rng.normal());
}

function table(vocabulary: number, width: number, dtype: DType = 'f32'): Tensor {
  return tensor(fromNumbers(numbers(vocabulary * width, 1), dtype), [vocabulary, width], { dtype, name: 'table' });
}

const ids = { data: Int32Array.of(0, 299, 128), shape: [tokens] };
const labels = { data: Int32Array.of(127, 5, 299), shape: [tokens] };

/**
 * Lookup, a layer, tied projection with its loss, and the largest logit; the gradients of the layer and of the table.
 */
async function languageModel(
  backend: Backend,
  { width, dtype = 'f32', trained = false }: { width: number; dtype?: DType; trained?: boolean },
): Promise<Record<string, HostArray>> {
  const w = table(300, width, dtype);
  const layer = tensor(Float32Array.from(numbers(width * width, 2)), [width, width]);
  const gradient = persistent([300, width]);
  const step = compile(backend, ({ ids: i = w, labels: l = w }) => {
    const x = matmul(embedding(w, i), layer);
    const loss = linearCrossEntropy(x, w, l);
    const [dLayer = layer, dTable] = grad(loss, trained ? [layer, w] : [layer]);
    if (dTable !== undefined) assign(gradient, add(gradient, dTable));
    return { loss, dLayer, x, best: argmax(linear(x, w)), norm: dTable === undefined ? loss : squaredNorm(dTable) };
  });
  const results: Record<string, HostArray> = {};
  for (const [name, value] of Object.entries(await step.run({ ids, labels }))) results[name] = await value;
  if (trained) results['gradient'] = await readTensor(gradient);
  await step.dispose();
  [w, layer, gradient].forEach((owned) => owned.dispose());
  return results;
}

function expectEqual(actual: Record<string, HostArray>, expected: Record<string, HostArray>): void {
  expect(Object.keys(actual)).toEqual(Object.keys(expected));
  for (const [name, want] of Object.entries(expected)) {
    const scale = Math.max(...Array.from(want, Math.abs));
    want.forEach((value, at) =>
      expect(Math.abs((actual[name]?.[at] ?? NaN) - value), `${name}[${at}]`).toBeLessThanOrEqual(1e-6 * scale),
    );
  }
}

test.each([
  { width: 8, dtype: 'f32' as const },
  { width: 9, dtype: 'f32' as const },
  { width: 16, dtype: 'f16' as const },
  { width: 18, dtype: 'bf16' as const },
  { width: 8, dtype: 'f32' as const, trained: true },
  { width: 9, dtype: 'f32' as const, trained: true },
])(
  'lookup, projection, loss, gradients and argmax over a table beyond one binding equal those of a whole one: %o',
  async (options) => {
    const backend = new ReferenceBackend(small);
    expectEqual(await languageModel(backend, options), await languageModel(new ReferenceBackend(), options));
    expect(backend.memory.buffers).toBe(0);
  },
);

// An adapter of the output projection, and token rows (rows looked up in the table, and a constant of ones): [300, 4]
// lies beyond one binding too.
test.each([{ rank: 2 }, { rank: 4 }])(
  'a loss with a low-rank term beside a table beyond one binding, and its gradients: %o',
  async ({ rank }) => {
    const run = async (backend: Backend): Promise<Record<string, HostArray>> => {
      const w = table(300, 8);
      const [a, b] = [
        tensor(Float32Array.from(numbers(rank * 8, 2)), [rank, 8]),
        tensor(Float32Array.from(numbers(300 * rank, 6)), [300, rank]),
      ];
      const places = tensor(
        Float32Array.from({ length: 600 }, (_, at) => (at === 10 || at === 599 ? 1 : 0)),
        [300, 2],
      );
      const trained = tensor(Float32Array.from(numbers(16, 7)), [2, 8]);
      const step = compile(backend, ({ ids: i = w, labels: l = w }) => {
        const x = embedding(w, i);
        const h = linear(x, add(trained, mul(embedding(w, tensor(Int32Array.of(5, 299), [2])), -1)));
        const loss = linearCrossEntropy(x, w, l, {
          terms: [
            { h: linear(x, a), b },
            { h, b: places },
          ],
        });
        const [dA = a, dB = b, dRows = trained] = grad(loss, [a, b, trained]);
        return { loss, dA, dB: squaredNorm(dB), dRows };
      });
      const results: Record<string, HostArray> = {};
      for (const [name, value] of Object.entries(await step.run({ ids, labels }))) results[name] = await value;
      await step.dispose();
      return results;
    };
    expectEqual(await run(new ReferenceBackend(small)), await run(new ReferenceBackend()));
  },
);

test('lookup, projection, loss and gradient over 8-bit rows beyond one binding', async () => {
  const run = async (backend: Backend): Promise<Record<string, HostArray>> => {
    const codes = tensor(
      Int8Array.from({ length: 300 * 18 }, (_, at) => ((at * 37) % 255) - 127),
      [300, 18],
      { name: 'codes' },
    );
    const scales = Float32Array.from(numbers(300, 1), Math.abs);
    const w = new EncodedMatrix({ kind: 'rows8', rows: 300, columns: 18 }, [codes, tensor(scales, [300])]);
    const layer = tensor(Float32Array.from(numbers(18 * 18, 2)), [18, 18]);
    const step = compile(backend, ({ ids: i = codes, labels: l = codes }) => {
      const x = matmul(embedding(w, i), layer);
      const loss = linearCrossEntropy(x, w, l);
      const [dLayer = layer] = grad(loss, [layer]);
      return { loss, dLayer, x, best: argmax(linear(x, w)) };
    });
    const results: Record<string, HostArray> = {};
    for (const [name, value] of Object.entries(await step.run({ ids, labels }))) results[name] = await value;
    await step.dispose();
    [codes, ...w.parts, layer].forEach((owned) => owned.dispose());
    return results;
  };
  const backend = new ReferenceBackend(small);
  expectEqual(await run(backend), await run(new ReferenceBackend()));
  expect(backend.memory.buffers).toBe(0);
});

test('views of a large tensor: other shapes, some rows in one piece, rows across pieces', async () => {
  const run = async (backend: Backend): Promise<Record<string, HostArray>> => {
    const w = table(300, 8);
    const x = tensor(Float32Array.from(numbers(16, 3)), [2, 8]);
    const step = compile(backend, () => ({
      whole: linear(x, reshape(w, [300, 8])),
      one: linear(x, rows(w, 130, 140)),
      across: linear(x, rows(w, 100, 290)),
      inner: matmul(tensor(Float32Array.from(numbers(600, 5)), [2, 300]), w),
      transposed: matmul(tensor(Float32Array.from(numbers(600, 5)), [300, 2]), w, { transposeA: true }),
      flat: sum(viewAt(w, 8 * 128, [64])),
    }));
    const entries = Object.entries(await step.run()).map(async ([name, value]) => [name, await value] as const);
    return Object.fromEntries(await Promise.all(entries));
  };
  expectEqual(await run(new ReferenceBackend(small)), await run(new ReferenceBackend()));
});

test('norms of the rows of a large weight and its update, sums and maxima over all of it', async () => {
  const run = async (backend: Backend): Promise<Record<string, HostArray>> => {
    const w = table(300, 8, 'bf16');
    const [b, a] = [
      tensor(Float32Array.from(numbers(600, 3)), [300, 2]),
      tensor(Float32Array.from(numbers(16, 4)), [2, 8]),
    ];
    const step = compile(backend, () => {
      const whole = add(cast(w, 'f32'), mul(matmul(b, a), 0.5));
      const norms = sqrt(sum(square(whole), { axis: 1, keepDims: true }));
      const [da = a, db = b] = grad(sum(norms), [a, b]);
      return { norms, da, db, columns: sum(whole, { axis: 0 }), largest: max(whole), each: max(whole, { axis: 1 }) };
    });
    const entries = Object.entries(await step.run()).map(async ([name, value]) => [name, await value] as const);
    return Object.fromEntries(await Promise.all(entries));
  };
  expectEqual(await run(new ReferenceBackend(small)), await run(new ReferenceBackend()));
});

async function optimize(backend: Backend, bits: 8 | 32): Promise<Record<string, HostArray>> {
  const [count, width] = [1500, 8];
  const size = count * width;
  const [blocks, scaleCount] = [Math.ceil(size / 64), Math.ceil(size / 256)];
  const p = table(count, width);
  const g = tensor(Float32Array.from(numbers(size, 7)), [count, width]);
  const lines = tensor(
    Float32Array.from({ length: 2 * blocks }, (_, i) => (i % 2 === 0 ? 1 + (i % 5) : 0.1)),
    [blocks, 2],
  );
  const state =
    bits === 32
      ? [p, persistent([count, width]), persistent([count, width])]
      : [
          p,
          persistent([count, width], { dtype: 'u8' }),
          persistent([count, width], { dtype: 'u8' }),
          persistent([scaleCount, 2]),
        ];
  const [, first = p, second = p, scales = p] = state;
  const host = { learningRate: scalar(1e-2), stepSize: scalar(1e-2), biasScale: scalar(1), clip: scalar(1) };
  const attrs = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
  const step = compile(backend, () => {
    const updated =
      bits === 32
        ? adamw({ parameters: p, gradient: g, firstMoment: first, secondMoment: second, table: lines }, host, attrs)
        : adamw8bit(
            {
              parameters: p,
              gradient: g,
              firstCodes: first,
              secondCodes: second,
              scales,
              table: lines,
              maps: tensor(momentMaps(), [2, 256]),
            },
            host,
            attrs,
          );
    state.forEach((target, at) => assign(target, updated[at] ?? target));
    return { norm: squaredNorm(g) };
  });
  const results: Record<string, HostArray> = { norm: await (await step.run()).norm };
  await step.run();
  for (const [at, value] of state.entries()) results[`${at}`] = await readTensor(value);
  expect(planMemory([step.plan({})]).bytes).toBe(backend.memory.bytes);
  return results;
}

test.each([8, 32] as const)(
  'AdamW with moments in %i bits updates parameters beyond one binding piece by piece, in place',
  async (bits) => {
    const backend = new ReferenceBackend({ maxBindingBytes: 32768, maxBufferBytes: 32768 });
    expectEqual(await optimize(backend, bits), await optimize(new ReferenceBackend(), bits));
  },
);

test('a frozen table costs a plan its bytes once, and no copy', () => {
  const w = table(300, 16, 'bf16');
  const step = compile(new ReferenceBackend(small), ({ x = w }) => ({ y: linear(x, w) }));
  const plan = step.plan({ x: { shape: [1, 16], dtype: 'f32' } });
  expect(planCost(plan)).toMatchObject({ sourceBytes: 9600, arenaBytes: expect.any(Number) });
  expect(planCost(plan).arenaBytes).toBeLessThan(3 * 300 * 4 + 2048);
  expect(planCost(plan).flops).toBe(2 * 16 * 300);
  expect([...planMemory([plan, plan]).sources]).toEqual([[sourceOf(w), 9600]]);
});

test('the unplanned executor takes large tensors too', async () => {
  const run = async (backend: Backend): Promise<Record<string, HostArray>> => {
    const w = table(300, 16, 'bf16');
    const step = compile(backend, ({ ids: i = w, labels: l = w }) => {
      const x = mul(embedding(w, i), 0.5);
      return { loss: linearCrossEntropy(x, reshape(w, [300, 16]), l) };
    });
    return runUnplanned(
      backend,
      step.trace({ ids: { shape: [tokens], dtype: 'i32' }, labels: { shape: [tokens], dtype: 'i32' } }),
      { ids, labels },
    );
  };
  expectEqual(await run(new ReferenceBackend(small)), await run(new ReferenceBackend()));
});

test('the unplanned executor leaves out what is computed and too large, and shows all else', async () => {
  const backend = new ReferenceBackend(small);
  const w = table(300, 8);
  const seen: string[] = [];
  const step = compile(backend, ({ ids: i = w, labels: l = w }) => {
    const view = reshape(w, [300, 8]);
    const loss = linearCrossEntropy(embedding(view, i), view, l);
    const [dTable = w] = grad(loss, [view]);
    return { loss, dTable, norm: squaredNorm(dTable) };
  });
  const results = await runUnplanned(
    backend,
    step.trace({ ids: { shape: [tokens], dtype: 'i32' }, labels: { shape: [tokens], dtype: 'i32' } }),
    { ids, labels },
    {
      onValue: async (node, _, read) => {
        seen.push(`${node.op.name} ${(await read()).length}`);
        return true;
      },
    },
  );
  expect(Object.keys(results)).toEqual(['loss']);
  expect(seen).toContain('view 2400');
  expect(seen.some((value) => value.startsWith('scatterAddRows'))).toBe(false);
});

test('what cannot be cut is refused by name', async () => {
  const backend = new ReferenceBackend(small);
  const w = table(300, 8);
  const refusal = async (fn: () => Tensor): Promise<unknown> =>
    compile(backend, () => ({ y: fn() }))
      .run()
      .then(
        () => 'none',
        (error: unknown) => error,
      );
  expect(await refusal(() => permute(w, [1, 0]))).toMatchObject({
    code: 'tensor.binding',
    message: expect.stringMatching(/permute.*4096 bytes.*f32\[300, 8\] of 9600 bytes/s),
  });
  expect(await refusal(() => mul(w, 2))).toMatchObject({
    code: 'tensor.binding',
    message: expect.stringContaining('the output y'),
  });
  const codes = tensor(new Uint8Array(8192), [8192], { dtype: 'u8', name: 'codes' });
  const encoded = new EncodedMatrix({ kind: 'block4', rows: 256, columns: 64, blockSize: 64, table: numbers(16, 1) }, [
    codes,
    tensor(new Float32Array(256)),
  ]);
  expect(await refusal(() => linear(tensor(new Float32Array(64), [1, 64]), encoded))).toMatchObject({
    code: 'tensor.binding',
    message: expect.stringMatching(/matmul.*u8\[8192\]/s),
  });
});
