import { block, Parameter } from '@lowrank/nn';
import type { TrainedParameter } from '@lowrank/nn';
import type { Backend, RandomState, Tensor } from '@lowrank/tensor';
import type { BackendSpec } from '@lowrank/tensor/backend';
import {
  add,
  attention,
  dropout,
  embedding,
  linear,
  linearCrossEntropy,
  readTensor,
  reshape,
  Rng,
  tensor,
} from '@lowrank/tensor';
import { ReferenceBackend } from '@lowrank/tensor/op';
import type { Batch, LossFunction } from './batch.js';
import type { TrainSession } from './trainOptions.js';

const sizes = { vocabulary: 11, width: 16, positions: 16 };

/** A document: labels beside their ids, -100 where nothing is to learn. */
export interface Row {
  readonly ids: Int32Array;
  readonly labels: Int32Array;
}

/** Labels that a position predicts: all but the first. */
export const labelTokens = ({ labels }: Row): number => labels.subarray(1).filter((label) => label >= 0).length;

/** Rows of a fixed pseudo-random text of several lengths; the first third of each row is a prompt. */
export function makeRows(count: number, seed = 3): Row[] {
  const rng = new Rng(seed);
  return Array.from({ length: count }, (_, at) => {
    const length = 4 + ((at * 5) % 9);
    const ids = Int32Array.from({ length }, () => Math.floor(rng.uniform() * sizes.vocabulary));
    return { ids, labels: ids.map((id, i) => (i < length / 3 ? -100 : id)) };
  });
}

/** Rows one after another in one sequence. */
export const pack = (rows: readonly Row[]): Batch => layOut([rows]);
/** Each row in a sequence of its own. */
export const padRows = (rows: readonly Row[]): Batch => layOut(rows.map((row) => [row]));

/** What data's layouts make of rows, in lengths that are multiples of 16. */
function layOut(sequences: readonly (readonly Row[])[]): Batch {
  const lengths = sequences.map((rows) => rows.reduce((total, { ids }) => total + ids.length, 0));
  const shape = [sequences.length, Math.ceil(Math.max(...lengths) / 16) * 16] as const;
  const [ids, positions] = [new Int32Array(shape[0] * shape[1]), new Int32Array(shape[0] * shape[1])];
  const labels = new Int32Array(shape[0] * shape[1]).fill(-100);
  const segments = Int32Array.from({ length: 2 * shape[0] * shape[1] }, (_, i) => ((i >> 1) % shape[1]) + (i & 1));
  for (const [b, rows] of sequences.entries()) {
    let start = 0;
    for (const row of rows) {
      const [first, end] = [b * shape[1] + start, start + row.ids.length];
      ids.set(row.ids, first);
      labels.set(row.labels.subarray(1), first);
      positions.set(
        row.ids.map((_, t) => t),
        first,
      );
      for (let t = 0; t < row.ids.length; t++) segments.set([start, end], 2 * (first + t));
      start = end;
    }
  }
  return {
    inputs: {
      ids: { data: ids, shape },
      labels: { data: labels, shape },
      positions: { data: positions, shape },
      segments: { data: segments, shape: [...shape, 2] },
    },
    weight: sequences.flat().reduce((total, row) => total + labelTokens(row), 0),
    tokens: lengths.reduce((total, length) => total + length, 0),
    rows: sequences.flat().length,
  };
}

/**
 * A one-layer attention model with a tied embedding and a frozen output offset: small enough for plain references, rich
 * enough for packing and masks.
 */
export interface TinyModel extends TrainSession {
  weights(): Promise<Map<string, Float32Array>>;
}

export function tinyModel(
  backend: Backend,
  { random, names = parameterNames }: { random?: RandomState; names?: readonly string[] } = {},
): TinyModel {
  const rng = new Rng(1);
  const make = (name: string, shape: readonly number[]): TrainedParameter => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => rng.normal() * 0.3);
    return { name, parameter: new Parameter(tensor(values, shape, { name })) };
  };
  const { vocabulary, width, positions } = sizes;
  const all = [
    make('embed', [vocabulary, width]),
    make('place', [positions, width]),
    make('q', [width, width]),
    make('k', [width, width]),
    make('v', [width, width]),
  ];
  const get = (name: string): Tensor =>
    all.find((entry) => entry.name === name)?.parameter.tensor ?? all[0]?.parameter.tensor ?? tensor(0);
  const loss: LossFunction = ({ ids, labels, positions: places, segments }) => {
    const [batch = 0, length = 0] = ids.shape;
    const x = add(embedding(get('embed'), ids), embedding(get('place'), places));
    const y = block(() => {
      const wet = random === undefined ? x : dropout(x, 0.25, random, 7);
      const project = (name: string): Tensor => reshape(linear(wet, get(name)), [batch, length, 2, width / 2]);
      const mixed = attention(project('q'), project('k'), project('v'), { segments });
      return add(wet, reshape(mixed, [batch, length, width]));
    });
    return linearCrossEntropy(reshape(y, [batch * length, width]), get('embed'), reshape(labels, [batch * length]));
  };
  const parameters: readonly TrainedParameter[] = all.filter(({ name }) => names.includes(name));
  return {
    backend,
    loss,
    parameters,
    random,
    async weights() {
      const read = new Map<string, Float32Array>();
      for (const { name, parameter } of all) read.set(name, (await readTensor(parameter.tensor)) as Float32Array);
      return read;
    },
  };
}

export const parameterNames = ['embed', 'place', 'q', 'k', 'v'];

export function referenceBackend(spec: Partial<BackendSpec> = {}): Backend {
  return new ReferenceBackend(spec);
}
