import { bucketLength } from '@lowrank/data';
import type { TaskModel } from '@lowrank/models';
import type { HostTensor } from '@lowrank/tensor';
import type { Batch } from '@lowrank/trainer';
import type { Labels } from './labels.js';
import type { ImageInput, Placed, Task, TaskDocument, TaskUnit } from './task.js';

/** A micro-batch of documents. */
export interface TaskMicroBatch extends Batch<string> {
  readonly weight: number;
  readonly tokens: number;
  readonly rows: number;
  /** B and T. */
  readonly batch: number;
  readonly length: number;
  /** B·T. */
  readonly size: number;
  readonly placed: readonly Placed[];
}

export interface TaskLayoutOptions {
  readonly task: Task;
  readonly labels: Labels;
  readonly model: TaskModel;
  /** All documents in one sequence, or each in its own. */
  readonly packed: boolean;
  /** Documents that the batch has room for: batches of one size have one plan. */
  readonly slots: number;
  /** Of a model that reads images. */
  readonly images?: ImageInput | undefined;
}

/**
 * Documents one after another in a sequence, or each padded in its own: attention stays within each, positions restart,
 * and virtual tokens are put before them.
 */
export function layOutTask(units: readonly TaskUnit[], options: TaskLayoutOptions): TaskMicroBatch {
  const { model, task, labels, slots, images } = options;
  // Images are of one size, and each is a sequence of its own.
  const readsImages = model.head.reads === 'images';
  const packed = options.packed && !readsImages;
  const { virtualTokens, shape } = model;
  const documents = units.flatMap((unit) => unit.documents);
  const lengths = documents.map(({ ids }) => ids.length + virtualTokens);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const longest = Math.max(1, ...lengths);
  const width = readsImages ? longest : bucketLength(packed ? total : longest);
  const batch = packed ? 1 : slots;
  const size = batch * width;
  const numbers = (fill = 0): Int32Array => new Int32Array(size).fill(fill);
  const [ids, positions, types, owners] = [numbers(model.paddingId ?? 0), numbers(), numbers(), numbers(-1)];
  // Padding sees itself alone.
  const segments = Int32Array.from({ length: 2 * size }, (_, at) => ((at >> 1) % width) + (at % 2));
  const at = new Int32Array(slots);
  const placed: Placed[] = [];
  let next = 0;
  for (const [slot, document] of documents.entries()) {
    const length = lengths[slot] ?? 0;
    const begin = packed ? next : slot * width;
    const start = begin + virtualTokens;
    next += length;
    for (let place = 0; place < length; place++) {
      const own = place - virtualTokens;
      ids[begin + place] = own < 0 ? shape.vocabularySize + place : (document.ids[own] ?? 0);
      positions[begin + place] = place;
      types[begin + place] = document.types[own] ?? 0;
      if (own >= 0) owners[begin + place] = slot;
      segments.set([begin % width, (begin % width) + length], 2 * (begin + place));
    }
    at[slot] = readAt(model, { begin, start, end: begin + length });
    placed.push({ document, start });
  }
  const rows = (data: Int32Array): HostTensor => ({ data, shape: [batch, width] });
  return {
    inputs: {
      ids: rows(ids),
      positions: rows(positions),
      segments: { data: segments, shape: [batch, width, 2] },
      ...(readsTypes(model) && { types: rows(types) }),
      at: { data: at, shape: [slots] },
      ...((model.head.reads === 'mean' || task.kind === 'embedding') && {
        documents: rows(owners),
        slots: { data: Float32Array.from({ length: slots }, (_, slot) => slot), shape: [slots] },
      }),
      ...task.targets({ placed, slots, size, labels, images }),
    },
    weight: task.weight(documents),
    tokens: documents.reduce((sum, document) => sum + document.ids.length, 0),
    rows: new Set(units.map(({ row }) => row)).size,
    batch,
    length: width,
    size,
    placed,
  };
}

/** The position that the head reads: prompt tuning's first vector stands where PEFT looks for the first token. */
function readAt(
  { head, virtualStates }: TaskModel,
  { begin, start, end }: { readonly begin: number; readonly start: number; readonly end: number },
): number {
  return head.reads === 'last' ? end - 1 : virtualStates ? begin : start;
}

function readsTypes({ shape }: TaskModel): boolean {
  return 'typeVocabularySize' in shape && Number(shape.typeVocabularySize) > 1;
}

/** Units with what their documents' rows name: images, read when it is their turn. */
export async function fetched(task: Task, units: readonly TaskUnit[]): Promise<readonly TaskUnit[]> {
  if (task.fetch === undefined) return units;
  const fetch = async (document: TaskDocument): Promise<TaskDocument> => (await task.fetch?.(document)) ?? document;
  return Promise.all(units.map(async (unit) => ({ ...unit, documents: await Promise.all(unit.documents.map(fetch)) })));
}

/** The units of documents in batches of at most so many positions, in order. */
export function chunked(units: readonly TaskUnit[], most: number): TaskUnit[][] {
  const chunks: TaskUnit[][] = [];
  let size = Infinity;
  for (const unit of units) {
    const own = unit.ids.length;
    if (size + own > most) {
      chunks.push([]);
      size = 0;
    }
    chunks.at(-1)?.push(unit);
    size += own;
  }
  return chunks;
}

/** Documents of units. */
export function countOf(units: readonly TaskUnit[]): number {
  return units.reduce((sum, { documents }) => sum + documents.length, 0);
}

/** A unit of documents as batches take it. */
export function unitOf(documents: readonly TaskDocument[], { line, row }: Pick<TaskUnit, 'line' | 'row'>): TaskUnit {
  const ids = Int32Array.from(documents.flatMap((document) => document.ids));
  return {
    line,
    row,
    documents,
    ids,
    labels: ids,
    labelTokens: ids.length,
    fullLength: documents.reduce((sum, { fullLength }) => sum + fullLength, 0),
    promptIsPrefix: true,
  };
}
