import { describe, expect, test } from 'vitest';
import { add, compile, grad, linear, matmul, Rng, sum, tensor } from '../index.js';
import { dumpPlan } from '../entries/backend.js';
import { decodeMatrix, EncodedMatrix, evaluateReference, nestedHead, ReferenceBackend } from '../entries/op.js';
import type { Tensor } from '../index.js';
import type { Block4Encoding } from '../entries/op.js';

const rng = new Rng(7);
const normal = (...shape: number[]): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
    shape,
  );
const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => Math.floor(rng.uniform() * 256));
const table = Array.from({ length: 16 }, (_, code) => (code - 7) / 8);

/** Rows of 7 are no multiple of a block, which then crosses rows. */
const block4: Block4Encoding = { kind: 'block4', rows: 11, columns: 7, blockSize: 32, table };
const plain = (): EncodedMatrix =>
  new EncodedMatrix(block4, [tensor(bytes(39), [39]), tensor(Float32Array.of(1, 2, 0.5), [3])]);
const nested = (): EncodedMatrix => {
  const head = Float32Array.from({ length: nestedHead + 1 }, () => rng.uniform() + 0.5);
  return new EncodedMatrix({ ...block4, nestedBlockSize: 256 }, [
    tensor(bytes(39), [39]),
    tensor(bytes(3), [3]),
    tensor(head, [head.length]),
  ]);
};
const rows8 = (): EncodedMatrix =>
  new EncodedMatrix({ kind: 'rows8', rows: 11, columns: 7 }, [
    tensor(Int8Array.from(bytes(77)), [11, 7]),
    tensor(
      Float32Array.from({ length: 11 }, () => rng.uniform()),
      [11],
    ),
  ]);

/** Blocks with a smallest value; rows are whole blocks of codes of 8 bits. */
const minimums = (): EncodedMatrix =>
  new EncodedMatrix({ ...block4, minimums: true }, [
    tensor(bytes(39), [39]),
    tensor(Float32Array.of(1, 2, 0.5), [3]),
    tensor(Float32Array.of(-1, 0.25, 3), [3]),
  ]);

const kinds = { plain, nested, minimums, rows8 };
const dense = async (matrix: EncodedMatrix): Promise<Tensor> => {
  const [values = new Float64Array()] = await evaluateReference([decodeMatrix(matrix)]);
  return tensor(Float32Array.from(values), [...matrix.shape]);
};
const expectClose = (actual: Float64Array | undefined, expected: Float64Array | undefined): void => {
  expect(actual?.length).toBe(expected?.length);
  actual?.forEach((value, at) => expect(Math.abs(value - (expected?.[at] ?? NaN))).toBeLessThan(1e-5));
};

describe.each(Object.entries(kinds))('a %s matrix', (_, make) => {
  test('multiplies as its dense values do, both ways round, and so does its gradient', async () => {
    const matrix = make();
    const values = await dense(matrix);
    const [x, g] = [normal(2, 5, 7), normal(2, 5, 11)];
    const [y, expected] = await evaluateReference([linear(x, matrix), linear(x, values)]);
    expectClose(y, expected);
    const [z, expectedZ] = await evaluateReference([matmul(g, matrix), matmul(g, values)]);
    expectClose(z, expectedZ);
    const [dx, expectedDx] = await evaluateReference(
      [grad(sum(linear(x, matrix)), [x]), grad(sum(linear(x, values)), [x])].flat(),
    );
    expectClose(dx, expectedDx);
  });

  test('is frozen', () => {
    const matrix = make();
    expect(() => grad(sum(linear(normal(2, 7), matrix)), matrix.parts.slice(0, 1))).toThrow(
      /frozen (block4|rows8) one/,
    );
  });

  test('takes a LoRA epilogue, and no dense copy is planned', () => {
    const matrix = make();
    const [x, a, b] = [normal(5, 7), normal(2, 7), normal(11, 2)];
    const plan = compile(new ReferenceBackend(), () => ({ y: add(linear(x, matrix), linear(linear(x, a), b)) })).plan(
      {},
    );
    const products = plan.steps.filter(({ op }) => op === 'matmul');
    expect(products.map(({ inputs }) => inputs.length)).toEqual([2, 3 + matrix.parts.length]);
    expect(dumpPlan(plan)).not.toMatch(/decodeMatrix/);
    expect(plan.steps.every(({ outputs }) => outputs.every(({ shape }) => shape.join() !== '11,7'))).toBe(true);
  });
});

test('blocks of 8-bit codes: code · scale + minimum', async () => {
  const matrix = new EncodedMatrix({ kind: 'block8', rows: 1, columns: 32, blockSize: 16, minimums: true }, [
    tensor(
      Int8Array.from({ length: 32 }, (_, i) => i - 16),
      [32],
    ),
    tensor(Float32Array.of(2, 0.5), [2]),
    tensor(Float32Array.of(1, -3), [2]),
  ]);
  const [values] = await evaluateReference([decodeMatrix(matrix)]);
  expect(values).toEqual(Float64Array.from({ length: 32 }, (_, i) => (i < 16 ? 2 * (i - 16) + 1 : (i - 16) / 2 - 3)));
});

test('parts that do not fit are refused by name', () => {
  expect(() => new EncodedMatrix(block4, [tensor(bytes(38), [38]), tensor(new Float32Array(3), [3])])).toThrow(
    /11×7.*u8\[39\], f32\[3\].*u8\[38\]/s,
  );
  expect(() => new EncodedMatrix({ ...block4, table: [1] }, [])).toThrow(/16 values/);
  expect(() => new EncodedMatrix({ ...block4, blockSize: 30 }, [])).toThrow(/multiple of 32/);
  expect(() => new EncodedMatrix({ ...block4, minimums: true, nestedBlockSize: 256 }, [])).toThrow(/both/);
  expect(() => new EncodedMatrix({ kind: 'block8', rows: 2, columns: 24, blockSize: 16 }, [])).toThrow(/divides/);
  expect(() => linear(normal(2, 8), plain())).toThrow(/equal inner sizes, here 8 and 7/);
  expect(() => matmul(normal(7, 2), plain(), { transposeA: true })).toThrow(/encoded/);
});
