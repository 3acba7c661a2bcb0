import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { SafetensorsFile } from '@lowrank/safetensors';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import type { Tensor } from '@lowrank/tensor';
import { persistent, tensor } from '@lowrank/tensor';
import type { CausalModel, LossBatch } from './causalModel.js';
import { ConfigReader } from './config.js';
import type { HeadKind } from './head.js';
import { familyOf } from './registry.js';
import type { TaskModel } from './taskModel.js';
import { weightSource } from './weights.js';

const root = fileURLToPath(new URL('../../../parity/golden/', import.meta.url));

/** The folder of goldens that a variant is in. */
type GoldenSet = 'llama' | 'gpt' | 'families' | 'encoders' | 'vision';

/** A model folder that transformers wrote. */
export const goldenFolder = (variant: string, set: GoldenSet = 'llama'): string => `${root}${set}/${variant}`;

export interface GreedyAnswer {
  readonly promptIds: number[];
  readonly ids: number[];
}

interface Answers {
  readonly base: {
    readonly plain: { loss: number; tokens: number };
    readonly packed: { loss: number; tokens: number };
    readonly gradNorm: number;
  };
  readonly greedy: { readonly base: GreedyAnswer[] };
}

export interface Golden {
  readonly answers: Answers;
  readonly file: SafetensorsFile;
}

/** What transformers answers about that model (parity/README.md). */
export async function openGolden(variant: string, set: GoldenSet = 'llama'): Promise<Golden> {
  const answers = JSON.parse(await readFile(goldenFolder(`answers/${variant}.json`, set), 'utf8')) as Answers;
  return { answers, file: await openSafetensors(fileSource(goldenFolder(`answers/${variant}.safetensors`, set))) };
}

export async function goldenFloats({ file }: Golden, key: string): Promise<Float32Array> {
  return new Float32Array(new Uint8Array(await file.read(key)).buffer);
}

async function integers({ file }: Golden, key: string): Promise<{ data: Int32Array; batch: number; length: number }> {
  const [batch = 0, length = 0] = file.tensors.get(key)?.shape ?? [];
  return { data: new Int32Array(new Uint8Array(await file.read(key)).buffer), batch, length };
}

/** A golden batch as Lowrank takes it: labels shifted to the position that predicts them, documents as bounds. */
export async function goldenBatch(golden: Golden, kind: 'plain' | 'packed'): Promise<LossBatch> {
  const { data: ids, batch, length } = await integers(golden, `${kind}.ids`);
  const { data: positions } = await integers(golden, `${kind}.positions`);
  const { data: labels } = await integers(golden, `${kind}.labels`);
  const shifted = labels.map((_, at) => (at % length === length - 1 ? -100 : (labels[at + 1] ?? -100)));
  const documents =
    kind === 'packed' ? (await integers(golden, 'packed.segments')).data : new Int32Array(batch * length);
  const bounds = new Int32Array(2 * batch * length);
  for (let at = 0; at < batch * length; at++) {
    const row = at - (at % length);
    const members = Array.from(documents.subarray(row, row + length), (document, place) =>
      document === documents[at] ? place : -1,
    ).filter((place) => place >= 0);
    bounds.set([Math.min(...members), Math.max(...members) + 1], 2 * at);
  }
  const rows = (data: Int32Array): Tensor => tensor(data, [batch, length]);
  return {
    ids: rows(ids),
    labels: rows(shifted),
    positions: rows(positions),
    segments: tensor(bounds, [batch, length, 2]),
  };
}

/** The model of a config, and how many numbers it has. Nothing is loaded: tensors that nobody uses cost nothing. */
export function countedModel(json: Readonly<Record<string, unknown>>): { model: CausalModel; parameters: number } {
  let parameters = 0;
  const counted = ({ shape }: { shape: readonly number[] }): Tensor => {
    parameters += shape.reduce((a, b) => a * b, 1);
    return persistent(shape);
  };
  const reader = new ConfigReader(json, 'config.json');
  const model = familyOf(reader).build(reader, weightSource({ tensor: counted }));
  return { model, parameters };
}

/** The same with a head of two labels. */
export function countedTask(
  json: Readonly<Record<string, unknown>>,
  kind: HeadKind,
): { model: TaskModel; parameters: number } {
  const reader = new ConfigReader(json, 'config.json');
  const model = familyOf(reader).buildTask(reader, weightSource({ tensor: ({ shape }) => persistent(shape) }), {
    kind,
    labels: 2,
  });
  const parameters = [...model.namedParameters()].reduce(
    (
      sum,
      [
        ,
        {
          tensor: { size },
        },
      ],
    ) => sum + size,
    0,
  );
  return { model, parameters };
}
