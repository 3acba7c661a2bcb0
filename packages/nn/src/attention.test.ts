import {
  attention as opAttention,
  compile,
  concat,
  linear,
  persistent,
  reshape,
  Rng,
  slice,
  tensor,
} from '@lowrank/tensor';
import { evaluateReference, ReferenceBackend } from '@lowrank/tensor/op';
import type { Tensor } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import type { AttentionLayerOptions } from './attention.js';
import { Attention } from './attention.js';
import { Linear } from './linear.js';
import { RmsNorm } from './rmsNorm.js';
import { RotaryTable } from './rotary.js';

const sizes = { width: 5, heads: 3, keyHeads: 1, headSize: 4 };

function random(seed: number, shape: readonly number[]): Tensor {
  const rng = new Rng(seed);
  return tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
    shape,
  );
}

function makeAttention(): Attention {
  const { width, heads, keyHeads, headSize } = sizes;
  const project = (seed: number, out: number, input: number): Linear => new Linear(random(seed, [out, input]));
  return new Attention(
    {
      q: project(1, heads * headSize, width),
      k: project(2, keyHeads * headSize, width),
      v: project(3, keyHeads * headSize, width),
      o: project(4, width, heads * headSize),
    },
    { heads, keyHeads, headSize, rotary: new RotaryTable({ size: headSize, theta: 100, maxPositions: 16 }) },
  );
}

const places = (...rows: number[][]): Tensor =>
  tensor(Int32Array.from(rows.flat()), [rows.length, rows[0]?.length ?? 0]);

test('a token sees itself and what precedes it', async () => {
  const attention = makeAttention();
  const x = random(9, [1, 4, sizes.width]);
  const positions = places([0, 1, 2, 3]);
  const [whole = []] = await evaluateReference([attention.forward(x, { positions })]);
  const [first = []] = await evaluateReference([
    attention.forward(tensor(new Float32Array((await evaluateReference([x]))[0]?.slice(0, 10) ?? []), [1, 2, 5]), {
      positions: places([0, 1]),
    }),
  ]);
  expect(whole.slice(0, 10)).toEqual(first);
});

test('documents in one row do not see each other', async () => {
  const attention = makeAttention();
  const [data = new Float64Array()] = await evaluateReference([random(9, [1, 5, sizes.width])]);
  const piece = (from: number, to: number): Tensor =>
    tensor(Float32Array.from(data.slice(from * 5, to * 5)), [1, to - from, 5]);
  const segments = tensor(Int32Array.of(0, 2, 0, 2, 2, 5, 2, 5, 2, 5), [1, 5, 2]);
  const [packed, a, b] = await evaluateReference([
    attention.forward(piece(0, 5), { positions: places([0, 1, 0, 1, 2]), segments }),
    attention.forward(piece(0, 2), { positions: places([0, 1]) }),
    attention.forward(piece(2, 5), { positions: places([0, 1, 2]) }),
  ]);
  expect([...(packed ?? [])]).toEqual([...(a ?? []), ...(b ?? [])]);
});

test('with a cache, token by token, the outputs are those of the whole row', async () => {
  const attention = makeAttention();
  const backend = new ReferenceBackend();
  const [data = new Float64Array()] = await evaluateReference([random(9, [2, 4, sizes.width])]);
  const cacheShape = [2, 6, sizes.keyHeads, sizes.headSize];
  const cache = { keys: persistent(cacheShape), values: persistent(cacheShape) };
  const step = compile(backend, ({ x, positions, lengths }) => {
    if (x === undefined || positions === undefined) throw new TypeError('inputs');
    return { y: attention.forward(x, { positions, lengths }, cache) };
  });
  const [whole = new Float64Array()] = await evaluateReference([
    attention.forward(tensor(Float32Array.from(data), [2, 4, 5]), { positions: places([0, 1, 2, 3], [0, 1, 2, 3]) }),
  ]);
  for (let at = 0; at < 4; at++) {
    const x = Float32Array.from(
      [0, 1].flatMap((row) => Array.from(data.subarray((row * 4 + at) * 5, (row * 4 + at + 1) * 5))),
    );
    const place = Int32Array.of(at, at);
    const { y } = await step.run({
      x: { data: x, shape: [2, 1, 5] },
      positions: { data: place, shape: [2, 1] },
      lengths: { data: place, shape: [2] },
    });
    const values = await y;
    const want = [0, 1].flatMap((row) => Array.from(whole.subarray((row * 4 + at) * 5, (row * 4 + at + 1) * 5)));
    want.forEach((value, i) => expect(Math.abs((values[i] ?? NaN) - value)).toBeLessThan(1e-5));
  }
  await step.dispose();
});

/** Keys and values of two positions. */
function makePrefix(): { keys: Tensor; values: Tensor } {
  return { keys: random(21, [2, 1, 4]), values: random(22, [2, 1, 4]) };
}

/**
 * The attention of `makeAttention` with such a prefix, over two documents of which each begins with two positions that
 * are none of its tokens.
 */
test(
  'a prefix stands in for the first positions of each document: what is there does not matter, and documents ' +
    'side by side see what they see alone',
  async () => {
    const attention = makeAttention();
    const alone = await evaluateReference([
      attention.forward(random(9, [1, 4, sizes.width]), { positions: places([0, 1, 2, 3]) }),
    ]);
    attention.prefix = makePrefix;
    const x = random(9, [1, 4, sizes.width]);
    const positions = places([0, 1, 2, 3]);
    const [one = new Float64Array()] = await evaluateReference([attention.forward(x, { positions })]);
    expect(one.subarray(2 * sizes.width)).not.toEqual(alone[0]?.subarray(2 * sizes.width));
    const other = concat([random(10, [1, 2, sizes.width]), slice(x, 1, 2, 4)], 1);
    const [changed = new Float64Array()] = await evaluateReference([attention.forward(other, { positions })]);
    expect(changed.subarray(2 * sizes.width)).toEqual(one.subarray(2 * sizes.width));
    const segments = tensor(Int32Array.of(0, 4, 0, 4, 0, 4, 0, 4, 4, 8, 4, 8, 4, 8, 4, 8), [1, 8, 2]);
    const [both = new Float64Array()] = await evaluateReference([
      attention.forward(concat([other, x], 1), { positions: places([0, 1, 2, 3, 0, 1, 2, 3]), segments }),
    ]);
    expect(both.subarray(6 * sizes.width)).toEqual(one.subarray(2 * sizes.width));
  },
);

test('a prefix is what plain attention over its keys and values is', async () => {
  const { keys, values } = makePrefix();
  const rotary = new RotaryTable({ size: sizes.headSize, theta: 100, maxPositions: 16 });
  const x = random(9, [1, 4, sizes.width]);
  const split = (t: Tensor, heads: number): Tensor => reshape(t, [1, 4, heads, sizes.headSize]);
  const turned = (t: Tensor): Tensor => rotary.apply(t, inOrder, { length: 4 });
  const query = turned(split(linear(x, q), sizes.heads));
  const behind = (prefix: Tensor, own: Tensor): Tensor =>
    concat([reshape(prefix, [1, 2, sizes.keyHeads, sizes.headSize]), slice(own, 1, 2, 4)], 1);
  const mixed = opAttention(
    slice(query, 1, 2, 4),
    behind(keys, turned(split(linear(x, k), sizes.keyHeads))),
    behind(values, split(linear(x, v), sizes.keyHeads)),
  );
  const attention = new Attention(
    { q: new Linear(q), k: new Linear(k), v: new Linear(v), o: new Linear(o) },
    { ...sizes, rotary },
  );
  attention.prefix = makePrefix;
  const [got = new Float64Array(), want = new Float64Array()] = await evaluateReference([
    attention.forward(x, { positions: inOrder }),
    linear(reshape(mixed, [1, 2, sizes.heads * sizes.headSize]), o),
  ]);
  got.subarray(2 * sizes.width).forEach((value, at) => expect(Math.abs(value - (want[at] ?? NaN))).toBeLessThan(1e-6));
});

test('a prefix of other sizes is refused', () => {
  const attention = makeAttention();
  attention.prefix = () => ({ keys: persistent([2, 2, 4]), values: persistent([2, 2, 4]) });
  expect(() => attention.forward(random(9, [1, 4, sizes.width]), { positions: inOrder })).toThrow(
    /prefix.*\[P, 1, 4\]/,
  );
});

const inOrder = places([0, 1, 2, 3]);
const weights = { q: random(1, [12, 5]), k: random(2, [4, 5]), v: random(3, [4, 5]), o: random(4, [5, 12]) };
const { q, k, v, o } = weights;

/** The layers of `makeAttention` with other options, and norms where asked for. */
async function outputs(options: Partial<AttentionLayerOptions>, norms?: { q: number; k: number }): Promise<number[]> {
  const norm = (size: number): RmsNorm => new RmsNorm(random(7, [size]), 1e-6);
  const attention = new Attention(
    {
      q: new Linear(q),
      k: new Linear(k),
      v: new Linear(v),
      o: new Linear(o),
      norms: norms === undefined ? undefined : { q: norm(norms.q), k: norm(norms.k) },
    },
    { ...sizes, rotary: new RotaryTable({ size: sizes.headSize, theta: 100, maxPositions: 16 }), ...options },
  );
  const [y = []] = await evaluateReference([attention.forward(random(9, [1, 4, sizes.width]), { positions: inOrder })]);
  return [...y];
}

test('q, k and v as one layer: the same, under its own name', async () => {
  const fused = new Attention(
    { qkv: new Linear(concat([q, k, v], 0)), o: new Linear(o) },
    { ...sizes, rotary: new RotaryTable({ size: sizes.headSize, theta: 100, maxPositions: 16 }) },
  );
  expect([...fused.children().keys()]).toEqual(['qkv_proj', 'o_proj']);
  const [y = []] = await evaluateReference([fused.forward(random(9, [1, 4, sizes.width]), { positions: inOrder })]);
  expect([...y]).toEqual(await outputs({}));
});

test(
  'a window, a scale, a cap and norms each change what comes out; a window as long as the row and a far ' +
    'cap do not',
  async () => {
    const plain = await outputs({});
    expect(await outputs({ window: 4 })).toEqual(plain);
    (await outputs({ softcap: 1e4 })).forEach((value, at) =>
      expect(Math.abs(value - (plain[at] ?? NaN))).toBeLessThan(1e-5),
    );
    const others = [
      await outputs({ window: 2 }),
      await outputs({ scale: 0.1 }),
      await outputs({ softcap: 0.5 }),
      await outputs({ rotary: undefined }),
      await outputs({}, { q: 4, k: 4 }),
      await outputs({ normOver: 'projection' }, { q: 12, k: 4 }),
    ];
    for (const [at, one] of others.entries())
      for (const other of [plain, ...others.slice(at + 1)]) expect(one).not.toEqual(other);
  },
);

test('without rotary positions, where a token stands does not matter but for what precedes it', async () => {
  const attention = new Attention({ q: new Linear(q), k: new Linear(k), v: new Linear(v), o: new Linear(o) }, sizes);
  const x = random(9, [1, 4, sizes.width]);
  const [a, b] = await evaluateReference([
    attention.forward(x, { positions: inOrder }),
    attention.forward(x, { positions: places([9, 3, 0, 7]) }),
  ]);
  expect(a).toEqual(b);
});

test('a prefix is left behind by a window as any other positions are', async () => {
  const run = async (window: number, prefixed: boolean): Promise<Float64Array> => {
    const attention = new Attention(
      { q: new Linear(q), k: new Linear(k), v: new Linear(v), o: new Linear(o) },
      { ...sizes, window },
    );
    if (prefixed) attention.prefix = makePrefix;
    return (
      (await evaluateReference([attention.forward(random(9, [1, 4, sizes.width]), { positions: inOrder })]))[0] ??
      new Float64Array()
    );
  };
  const last = (values: Float64Array): Float64Array => values.subarray(3 * sizes.width);
  expect(last(await run(2, true))).toEqual(last(await run(2, false)));
  expect(last(await run(3, true))).not.toEqual(last(await run(3, false)));
});
