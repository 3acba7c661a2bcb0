import { isLowrankError } from '@lowrank/errors';
import { Module, Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add, compile, grad, mul, setDefaultBackend, square, sum, tensor } from '@lowrank/tensor';
import { evaluateReference, ReferenceBackend } from '@lowrank/tensor/op';
import { describe, expect, test } from 'vitest';
import type { SubspaceOptions } from './injectSubspace.js';
import { foldSubspace, injectSubspace, projections, removeSubspace } from './injectSubspace.js';
import { denseP, moved, numbers, setZ, SmallModel } from './testing/subspace.js';

const total = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);
const dot = (a: Float64Array, b: ArrayLike<number>): number =>
  a.reduce((at, value, i) => at + value * (b[i] ?? NaN), 0);

/** Σ of c·θ² over all weights, read as a layer reads them, the tied one twice. */
function lossOf(model: Module): { loss: Tensor; c: Float32Array } {
  const c = numbers(77, 40);
  const terms = [...model.namedParameters()].map(([, { tensor: weight }]) => {
    const flat = tensor(
      Float32Array.from({ length: weight.size }, (_, at) => c[at] ?? 0),
      weight.shape,
    );
    return sum(mul(flat, square(weight)));
  });
  return { loss: terms.reduce((a, b) => add(a, b)), c };
}

describe.each(projections)('a %s subspace', (projection) => {
  const cases: SubspaceOptions[] = [
    { dimension: 1 },
    { dimension: 5 },
    { dimension: 16 },
    { dimension: 40, seed: 3 },
    { dimension: 130 },
    { dimension: 14, structureAware: true },
    ...(projection === 'sparse' ? [{ dimension: 9, entries: 3 }] : []),
  ];

  test.each(cases)('is linear in z, is zero at first, and its gradient is Pᵀ·dθ: %o', async (options) => {
    const model = new SmallModel();
    const subspace = injectSubspace(model, { projection, ...options });
    expect(subspace.size).toBe(113);
    expect(Math.hypot(...(await moved(subspace)))).toBe(0);
    const columns = await denseP(subspace);
    const z = numbers(8, columns.length).map((value) => value * 0.1);
    const zTensor = setZ(subspace, z);
    const delta = await moved(subspace);
    delta.forEach((value, at) =>
      expect(value).toBeCloseTo(total(columns.map((column, j) => (column[at] ?? NaN) * (z[j] ?? NaN))), 6),
    );

    const { loss, c } = lossOf(model);
    const wanted = [zTensor, ...(subspace.scales === undefined ? [] : [subspace.scales.tensor])];
    const [dz = new Float64Array(), dScales] = await evaluateReference(grad(loss, wanted));
    const gradients = new Float64Array(subspace.size);
    let at = 0;
    for (const [path, { tensor: weight }] of subspace.weights) {
      const [values = new Float64Array()] = await evaluateReference([weight]);
      values.forEach((value, i) => (gradients[at + i] = 2 * (c[i] ?? 0) * value * (path.startsWith('embed') ? 2 : 1)));
      at += values.length;
    }
    columns.forEach((column, j) => expect(dz[j]).toBeCloseTo(dot(column, gradients), 5));
    // At λ = 1 the gradients of all scales add up to the gradient along Δθ.
    if (dScales !== undefined) expect(total(dScales)).toBeCloseTo(dot(delta, gradients), 5);
  });

  test('is drawn from its seed alone', async () => {
    const draw = async (seed: number): Promise<Float64Array> => {
      const subspace = injectSubspace(new SmallModel(), { dimension: 6, projection, seed });
      setZ(subspace, numbers(2, 6));
      return moved(subspace);
    };
    const [first, again, other] = [await draw(1), await draw(1), await draw(2)];
    expect(again).toEqual(first);
    expect(Math.hypot(...other.map((value, at) => value - (first[at] ?? NaN)))).toBeGreaterThan(1);
  });

  test('has rows of norm 1 in expectation, with entries of mean 0 that do not depend on each other', async () => {
    const [rows, dimension] = [4000, 40];
    const columns = await denseP(injectSubspace(vector(rows), { dimension, projection, seed: 4 }));
    const squares = Array.from({ length: rows }, (_, i) => total(columns.map((column) => (column[i] ?? NaN) ** 2)));
    expect(total(squares) / rows).toBeCloseTo(1, 1);
    // 160,000 entries of variance 1/d: the mean has a standard deviation of 4e-4, a product of two columns one of
    // √4000/40 = 1.6.
    expect(Math.abs(total(columns.flatMap((column) => [...column])) / rows / dimension)).toBeLessThan(2e-3);
    for (let j = 1; j < dimension; j++)
      expect(Math.abs(dot(columns[j - 1] ?? new Float64Array(), columns[j] ?? []))).toBeLessThan(7);
    for (const column of columns) expect(Math.abs(dot(column, column) * (dimension / rows) - 1)).toBeLessThan(0.12);
  });

  test('keeps lengths: ‖Pz‖ = √(D/d)·‖z‖, within what chance allows', async () => {
    const [rows, dimension] = [6000, 60];
    const ratios: number[] = [];
    for (let seed = 0; seed < 8; seed++) {
      const subspace = injectSubspace(vector(rows), { dimension, projection, seed });
      const z = numbers(seed + 10, dimension);
      setZ(subspace, z);
      ratios.push((Math.hypot(...(await moved(subspace))) ** 2 * dimension) / (rows * Math.hypot(...z) ** 2));
    }
    for (const ratio of ratios) expect(Math.abs(ratio - 1)).toBeLessThan(0.2);
    expect(Math.abs(total(ratios) / ratios.length - 1)).toBeLessThan(0.06);
  });

  test('of d ≥ D directions is all of the space', async () => {
    const columns = await denseP(injectSubspace(vector(12), { dimension: 16, projection }));
    // Gram matrix of the rows: its determinant is above 0 where all rows are independent.
    const gram = Array.from({ length: 12 }, (_, i) =>
      Array.from({ length: 12 }, (_, k) => total(columns.map((column) => (column[i] ?? NaN) * (column[k] ?? NaN)))),
    );
    expect(smallestPivot(gram)).toBeGreaterThan(1e-3);
  });

  test('never makes P: memory grows with D and d, not with their product', async () => {
    const [size, dimension] = [4000, 500];
    const backend = new ReferenceBackend();
    const subspace = injectSubspace(vector(size), { dimension, projection });
    const step = compile(backend, () => ({
      gradient:
        grad(sum(square([...subspace.weights.values()][0]?.tensor ?? tensor(0))), [subspace.z.tensor])[0] ?? tensor(0),
    }));
    await (
      await step.run()
    ).gradient;
    expect(backend.memory.peakBytes).toBeGreaterThan(4 * size);
    expect(backend.memory.peakBytes).toBeLessThan(4 * 20 * (size + dimension));
    expect(4 * 20 * (size + dimension)).toBeLessThan((4 * size * dimension) / 10);
    await step.dispose();
  });

  test('is taken away, or folded into the weights, leaving no trace', async () => {
    const model = new SmallModel();
    const before = await readAll(model);
    removeSubspace(injectSubspace(model, { dimension: 4, projection }));
    expect(await readAll(model)).toEqual(before);

    const subspace = injectSubspace(model, { dimension: 4, projection, structureAware: false });
    setZ(subspace, numbers(3, 4));
    const during = await readAll(model);
    const backend = new ReferenceBackend();
    setDefaultBackend(backend);
    await foldSubspace(subspace);
    setDefaultBackend(undefined);
    expect(backend.memory.peakBytes).toBeGreaterThan(0);
    expect(backend.memory.buffers).toBe(0);
    const after = await readAll(model);
    during.forEach((value, at) => expect(after[at]).toBeCloseTo(value, 5));
    expect([...model.namedParameters()].some(([, parameter]) => parameter.isDerived)).toBe(false);
  });
});

test('sparse columns of one entry are exactly orthogonal and evenly filled', async () => {
  const columns = await denseP(injectSubspace(vector(103), { dimension: 10, projection: 'sparse' }));
  columns.forEach((column, j) => {
    expect([10, 11]).toContain(column.filter((value) => value !== 0).length);
    expect(column.every((value) => [0, 1, -1].includes(value))).toBe(true);
    columns.slice(0, j).forEach((other) => expect(dot(column, other)).toBe(0));
  });
});

test('Fastfood is H·G·Π·H·B over √(d·ΣG²), here of one block, with the tables that are drawn', async () => {
  const columns = await denseP(injectSubspace(vector(8), { dimension: 8, projection: 'fastfood', seed: 2 }));
  // V·Vᵀ = H·G·Π·H·B·B·H·Πᵀ·G·H / (8·ΣG²) = H·G²·H / ΣG²: constant along i xor k, 1 on the diagonal.
  const gram = (i: number, k: number): number =>
    total(columns.map((column) => (column[i] ?? NaN) * (column[k] ?? NaN)));
  for (let i = 0; i < 8; i++) {
    expect(gram(i, i)).toBeCloseTo(1, 6);
    for (let k = 0; k < 8; k++) expect(gram(i, k)).toBeCloseTo(gram(0, i ^ k), 6);
  }
});

test('chooses weights, and leaves the others as they are', async () => {
  const model = new SmallModel();
  const subspace = injectSubspace(model, { dimension: 3, choose: (path) => path.startsWith('layers.') });
  expect([...subspace.weights.keys()]).toEqual([
    'layers.0.proj.weight',
    'layers.0.proj.bias',
    'layers.1.proj.weight',
    'layers.1.proj.bias',
  ]);
  expect([...model.namedParameters()].filter(([, { isDerived }]) => isDerived)).toHaveLength(4);
});

test('structure-aware: a scale for each layer out of d', async () => {
  const subspace = injectSubspace(new SmallModel(), { dimension: 20, structureAware: true });
  // The model itself with its norm, embed, layers.0, layers.1.
  expect(subspace.scales?.tensor.size).toBe(4);
  expect(subspace.z.tensor.size).toBe(16);
  if (subspace.scales === undefined) throw new TypeError('no scales');
  setZ(subspace, numbers(4, 16));
  const before = await moved(subspace);
  subspace.scales.tensor = tensor([0, 1, 2, 1], [4]);
  const after = await moved(subspace);
  const paths = [...subspace.weights].flatMap(([path, { stored }]) => Array.from({ length: stored.size }, () => path));
  after.forEach((value, at) =>
    expect(value).toBeCloseTo(
      (before[at] ?? NaN) * (paths[at]?.startsWith('layers.0') === true ? 2 : paths[at] === 'norm' ? 0 : 1),
      5,
    ),
  );
});

test.each<[string, SubspaceOptions]>([
  ['no dimension', { dimension: 0 }],
  ['half a dimension', { dimension: 2.5 }],
  ['fewer dimensions than scales', { dimension: 4, structureAware: true }],
  ['no entries', { dimension: 4, entries: 0 }],
  ['a seed of more than 32 bits', { dimension: 4, seed: 2 ** 32 }],
  ['no weights', { dimension: 4, choose: () => false }],
])('refuses %s, and leaves the model as it was', (_, options) => {
  const model = new SmallModel();
  expect(codeOf(() => injectSubspace(model, options))).toBe('methods.subspace');
  expect([...model.namedParameters()].some(([, parameter]) => parameter.isDerived)).toBe(false);
});

test('refuses a second subspace over a first, and integers', () => {
  const model = new SmallModel();
  injectSubspace(model, { dimension: 3 });
  expect(codeOf(() => injectSubspace(model, { dimension: 3 }))).toBe('methods.subspace');
  const codes = new Holder(new Parameter(tensor(Int32Array.of(1, 2), [2])));
  expect(codeOf(() => injectSubspace(codes, { dimension: 3 }))).toBe('methods.subspace');
});

class Holder extends Module {
  constructor(parameter: Parameter) {
    super();
    this.parameter('w', parameter);
  }
}

function vector(size: number): Module {
  return new Holder(new Parameter(tensor(new Float32Array(size), [size])));
}

async function readAll(model: Module): Promise<number[]> {
  return (await evaluateReference([...model.namedParameters()].map(([, { tensor: value }]) => value))).flatMap(
    (values) => [...values],
  );
}

function codeOf(fn: () => unknown): string | undefined {
  try {
    fn();
  } catch (error) {
    return isLowrankError(error) ? error.code : String(error);
  }
  return undefined;
}

/** Of Gauss's elimination with pivots on the diagonal, as befits a Gram matrix. */
function smallestPivot(matrix: number[][]): number {
  let smallest = Infinity;
  for (let k = 0; k < matrix.length; k++) {
    const pivot = matrix[k]?.[k] ?? NaN;
    smallest = Math.min(smallest, pivot);
    for (let i = k + 1; i < matrix.length; i++) {
      const factor = (matrix[i]?.[k] ?? NaN) / pivot;
      matrix[i] = (matrix[i] ?? []).map((value, j) => value - factor * (matrix[k]?.[j] ?? NaN));
    }
  }
  return smallest;
}
