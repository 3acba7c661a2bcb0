import type { EncodedRow } from '@lowrank/data';
import { packBatch, padBatch } from '@lowrank/data';
import { block } from '@lowrank/nn';
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
import type { TokenBatch } from '@lowrank/data';
import type { LossFunction } from './batch.js';
import type { TrainedParameter } from './parameters.js';
import type { TrainSession } from './train.js';

const sizes = { vocabulary: 11, width: 16, positions: 16 };

/** Rows of a fixed pseudo-random text of several lengths; the first third of each row is a prompt. */
export function makeRows(count: number, seed = 3): EncodedRow[] {
  const rng = new Rng(seed);
  return Array.from({ length: count }, (_, at) => {
    const length = 4 + ((at * 5) % 9);
    const ids = Int32Array.from({ length }, () => Math.floor(rng.uniform() * sizes.vocabulary));
    const labels = ids.map((id, i) => (i < length / 3 ? -100 : id));
    return {
      line: at + 1,
      ids,
      labels,
      labelTokens: labels.filter((label, i) => i > 0 && label >= 0).length,
      fullLength: length,
      promptIsPrefix: true,
    };
  });
}

const bucket = (length: number): number => Math.ceil(length / 16) * 16;
export const pack = (rows: readonly EncodedRow[]): TokenBatch => packBatch(rows, { bucket });
export const padRows = (rows: readonly EncodedRow[]): TokenBatch => padBatch(rows, { bucket });

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
  const make = (name: string, shape: readonly number[]): { name: string; parameter: { tensor: Tensor } } => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => rng.normal() * 0.3);
    return { name, parameter: { tensor: tensor(values, shape, { name }) } };
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
