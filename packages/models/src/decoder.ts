import type { LayerCache } from '@lowrank/nn';
import type { Backend, CompiledFunction, HostArray, Tensor } from '@lowrank/tensor';
import type { Arena } from '@lowrank/tensor/backend';
import type { InputSpec } from '@lowrank/tensor/op';
import { assign, cast, compile, embedding, equal, maximum, persistent, reshape, tensor } from '@lowrank/tensor';
import type { CausalModel } from './causalModel.js';
import { kvCacheFor } from './kvCache.js';
import type { KvCache } from './kvCache.js';
import type { Sampler } from './sampling.js';

/**
 * Static sizes, so that few plans serve all requests: the next of 16, 32, 64 … that holds `size`, or the largest there
 * may be.
 */
export function bucketOf(size: number, largest: number): number {
  let bucket = 16;
  while (bucket < size) bucket *= 2;
  return Math.min(bucket, largest);
}

/**
 * Token ids i32 [B] that the device has been asked for; within an object, since a promise of a promise is awaited as
 * one.
 */
export interface Draw {
  readonly token: Promise<HostArray>;
}

export interface DecoderOptions {
  readonly backend: Backend;
  /** For intermediates; of all decoders of one generator. */
  readonly arena: Arena;
  readonly sampler: Sampler;
  readonly batch: number;
  /** Positions of each row that the caches hold. */
  readonly capacity: number;
  readonly kvCache?: KvCache | undefined;
}

/**
 * Rows of text that grow side by side, their keys and values cached in place. A prefill plan for each length bucket
 * reads what is new, one decode plan then reads the token that was drawn last, which never leaves the device on its
 * way: the host only looks at it. Lengths, positions and all settings of sampling are data.
 */
export class Decoder {
  readonly batch: number;
  readonly capacity: number;
  private readonly caches: readonly LayerCache[];
  /** i32 [B]: the last token sampled. */
  private readonly token: Tensor;
  /** [B, V]: 1 for tokens that the row has. */
  private readonly seen: Tensor;
  private readonly columns: Tensor;
  private readonly prefill: CompiledFunction<{ token: Tensor }>;
  private readonly decode: CompiledFunction<{ token: Tensor }>;
  private lengths: Int32Array;
  private contents: readonly (readonly number[])[];

  constructor(
    private readonly model: CausalModel,
    private readonly options: DecoderOptions,
  ) {
    const { backend, arena, batch, capacity } = options;
    this.batch = batch;
    this.capacity = capacity;
    const { layers, keyHeads, headSize, vocabularySize } = model.shape;
    const dtype = kvCacheFor(options.kvCache, backend, model.shape);
    const cache = (name: string): Tensor => persistent([batch, capacity, keyHeads, headSize], { name, dtype });
    this.caches = Array.from({ length: layers }, (_, at) => ({
      keys: cache(`keys ${at}`),
      values: cache(`values ${at}`),
    }));
    this.token = persistent([batch], { dtype: 'i32', name: 'token' });
    this.seen = persistent([batch, vocabularySize], { name: 'seen' });
    this.columns = tensor(
      Float32Array.from({ length: vocabularySize }, (_, at) => at),
      [1, vocabularySize],
      { name: 'columns' },
    );
    this.lengths = new Int32Array(batch);
    this.contents = Array.from({ length: batch }, () => []);
    this.prefill = compile(backend, (inputs) => this.readPrompts(inputs), { arena });
    this.decode = compile(backend, (inputs) => this.readToken(inputs), { arena });
  }

  /**
   * Reads the prompts; the first new token of each. With `keep`, what a row's cache holds of its prompt already is not
   * read again: right as long as the weights have not changed.
   */
  async begin(
    prompts: readonly (readonly number[])[],
    { keep, more }: { keep: boolean; more: boolean },
  ): Promise<Draw> {
    const { batch } = this;
    const starts = this.startsOf(prompts, keep);
    const length = bucketOf(longestOf(prompts, starts), this.capacity);
    const ids = new Int32Array(batch * length);
    const positions = new Int32Array(batch * length);
    const seen = new Float32Array(this.seen.size);
    prompts.forEach((prompt, row) => {
      const start = starts[row] ?? 0;
      ids.set(prompt.slice(start), row * length);
      // Padding repeats the last position that the model has.
      for (let at = 0; at < length; at++) positions[row * length + at] = Math.min(start + at, this.capacity - 1);
      const { vocabularySize } = this.model.shape;
      // Virtual tokens are not in the vocabulary.
      for (const id of prompt) if (id < vocabularySize) seen[row * vocabularySize + id] = 1;
    });
    const last = Int32Array.from(prompts, (prompt, row) => row * length + prompt.length - 1 - (starts[row] ?? 0));
    await this.prepare(length, more);
    this.lengths = Int32Array.from(prompts, (prompt) => prompt.length);
    this.contents = prompts.map(() => []);
    this.options.sampler.advance();
    const { token } = await this.prefill.run({
      ids: { data: ids, shape: [batch, length] },
      positions: { data: positions, shape: [batch, length] },
      lengths: { data: starts, shape: [batch] },
      last: { data: last, shape: [batch] },
      seen: { data: seen, shape: this.seen.shape },
    });
    this.contents = prompts;
    return { token };
  }

  /** Reads the tokens drawn last; the next ones. */
  async next(): Promise<Draw> {
    const lengths = this.lengths;
    this.lengths = lengths.map((length) => length + 1);
    this.options.sampler.advance();
    const { token } = await this.decode.run({ lengths: { data: lengths, shape: [this.batch] } });
    return { token };
  }

  /** Tells what the rows hold by now, for a `begin` that keeps it. */
  wrote(texts: readonly (readonly number[])[]): void {
    // The last token of a text was drawn but perhaps never read.
    this.contents = this.contents.map((prompt, row) => [...prompt, ...(texts[row] ?? []).slice(0, -1)]);
  }

  async dispose(): Promise<void> {
    await this.prefill.dispose();
    await this.decode.dispose();
    for (const { keys, values } of this.caches) [keys, values].forEach((cache) => cache.dispose());
    for (const state of [this.token, this.seen, this.columns]) state.dispose();
  }

  /**
   * How much of each prompt the caches keep: never all of it, since the last token's logits are wanted, and no more
   * than lets the rest of the batch fit its bucket.
   */
  private startsOf(prompts: readonly (readonly number[])[], keep: boolean): Int32Array {
    const starts = Int32Array.from(prompts, (prompt, row) =>
      keep ? Math.min(sharedLength(prompt, this.contents[row] ?? []), prompt.length - 1) : 0,
    );
    const length = bucketOf(longestOf(prompts, starts), this.capacity);
    return starts.map((start) => Math.max(0, Math.min(start, this.capacity - length)));
  }

  /**
   * Both plans are ready before the first runs: the one that comes later may ask for more memory, and move the other's.
   */
  private async prepare(length: number, more: boolean): Promise<void> {
    const { arena } = this.options;
    const rows: InputSpec = { shape: [this.batch], dtype: 'i32' };
    const grid: InputSpec = { shape: [this.batch, length], dtype: 'i32' };
    for (let version = -1; version !== arena.version;) {
      version = arena.version;
      await this.prefill.prepare({
        ids: grid,
        positions: grid,
        lengths: rows,
        last: rows,
        seen: { shape: this.seen.shape, dtype: 'f32' },
      });
      if (more) await this.decode.prepare({ lengths: rows });
    }
  }

  private readPrompts({ ids, positions, lengths, last, seen }: Record<string, Tensor>): { token: Tensor } {
    if (
      ids === undefined ||
      positions === undefined ||
      lengths === undefined ||
      last === undefined ||
      seen === undefined
    )
      throw new TypeError('a prefill has five inputs');
    const hidden = this.model.hidden(ids, { positions, lengths }, this.caches);
    return this.sample(embedding(reshape(hidden, [ids.size, this.model.shape.hiddenSize]), last), seen);
  }

  private readToken({ lengths }: Record<string, Tensor>): { token: Tensor } {
    if (lengths === undefined) throw new TypeError('a decoding step has one input');
    const { batch } = this;
    const hidden = this.model.hidden(
      reshape(this.token, [batch, 1]),
      { positions: reshape(lengths, [batch, 1]), lengths },
      this.caches,
    );
    // Vocabularies are far below 2²⁴, so ids are exact in f32.
    const seen = maximum(this.seen, equal(this.columns, reshape(cast(this.token, 'f32'), [batch, 1])));
    return this.sample(reshape(hidden, [batch, this.model.shape.hiddenSize]), seen);
  }

  private sample(rows: Tensor, seen: Tensor): { token: Tensor } {
    const token = this.options.sampler.sample(this.model.logits(rows), seen);
    assign(this.seen, seen);
    assign(this.token, token);
    return { token };
  }
}

function longestOf(prompts: readonly (readonly number[])[], starts: Int32Array): number {
  return Math.max(...prompts.map((prompt, row) => prompt.length - (starts[row] ?? 0)));
}

function sharedLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
