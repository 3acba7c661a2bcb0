import { readFile } from 'node:fs/promises';
import { createGenerator, loadCausalModel, openFolder } from '@lowrank/models';
import type { CausalModel } from '@lowrank/models';
import type { LayerCache } from '@lowrank/nn';
import type { Backend, HostArray, Tensor } from '@lowrank/tensor';
import { compile, persistent, reshape, Rng } from '@lowrank/tensor';
import { expect } from 'vitest';

export interface GenerationParityOptions {
  readonly backend: Backend;
  /** A model folder; or the model. */
  readonly model: string | CausalModel;
  /** Its sliding window, in positions; default: `sliding_window` of the folder's config.json. */
  readonly window?: number;
  /** Tokens that each prompt is continued by. */
  readonly newTokens?: number;
}

/** Two logits this close may change places by rounding. */
const lead = 1e-3;

/**
 * Generation with the cache is generation without it: logits along given texts (past the sliding window, with prompts
 * on both sides of it) within 1e-4, greedy tokens equal wherever the two best logits differ by more than 1e-3, and 16
 * prompts of different lengths in a batch like one by one.
 */
export async function expectGenerationParity(options: GenerationParityOptions): Promise<void> {
  const { backend } = options;
  const model =
    typeof options.model === 'string' ? await loadCausalModel(await openFolder(options.model)) : options.model;
  const window = options.window ?? (typeof options.model === 'string' ? await windowOf(options.model) : 0);
  await expectLogitsAlike(model, backend, window);
  await expectTextsAlike(model, backend, options.newTokens ?? 10);
  if (typeof options.model === 'string') model.dispose();
}

async function windowOf(folder: string): Promise<number> {
  const config = JSON.parse(await readFile(`${folder}/config.json`, 'utf8')) as Readonly<Record<string, unknown>>;
  const text = (config['text_config'] ?? config) as Readonly<Record<string, unknown>>;
  return typeof text['sliding_window'] === 'number' ? text['sliding_window'] : 0;
}

/** Two rows: one is read token by token from its second on, the other from beyond the window. */
async function expectLogitsAlike(model: CausalModel, backend: Backend, window: number): Promise<void> {
  const { maxPositions, vocabularySize } = model.shape;
  const length = Math.min(maxPositions, Math.max(20, 2 * window + 5));
  const begins = [1, Math.min(length - 4, window + 3)];
  const texts = begins.map((_, row) => randomIds(length, vocabularySize, row));
  const expected = await logitsOf(model, backend, texts);
  const cached = new CachedLogits(model, backend, { batch: texts.length, capacity: length });
  let lengths = begins.slice();
  // The prompts together, padded to the longer; then a token of each, until the shorter row is done.
  let got = await cached.read(
    texts.map((text, row) => text.slice(0, begins[row])),
    texts.map(() => 0),
  );
  const compare = (row: number, from: number, logits: readonly Float32Array[]): void =>
    logits.forEach((own, at) =>
      expectClose(own, expected[row]?.[from + at] ?? new Float32Array(), `row ${row}, position ${from + at}`),
    );
  got.forEach((logits, row) => compare(row, 0, logits));
  while (lengths.some((own) => own < length)) {
    // A row that is done reads its last token again: its cache is overwritten with what it holds.
    const at = lengths.map((own) => Math.min(own, length - 1));
    got = await cached.read(
      texts.map((text, row) => text.slice(at[row], (at[row] ?? 0) + 1)),
      at,
    );
    got.forEach((logits, row) => compare(row, at[row] ?? 0, logits));
    lengths = lengths.map((own) => Math.min(length, own + 1));
  }
  await cached.dispose();
}

/** 16 prompts of 1 to 16 tokens: together, one by one, and against logits without a cache. */
async function expectTextsAlike(model: CausalModel, backend: Backend, wanted: number): Promise<void> {
  const prompts = Array.from({ length: 16 }, (_, at) => randomIds(at + 1, model.shape.vocabularySize, 100 + at));
  const newTokens = Math.min(wanted, model.shape.maxPositions - 16);
  const generator = createGenerator(model, { backend });
  const together = (await generator.generate(prompts, { maxNewTokens: newTokens })).map(({ ids }) => ids);
  const alone: (readonly number[])[] = [];
  for (const prompt of prompts)
    alone.push(...(await generator.generate([prompt], { maxNewTokens: newTokens })).map(({ ids }) => ids));
  await generator.dispose();
  const logits = await logitsOf(
    model,
    backend,
    prompts.map((prompt, at) => [...prompt, ...(together[at] ?? [])]),
  );
  let clear = 0;
  prompts.forEach((prompt, row) => {
    const ids = together[row] ?? [];
    expect(ids.length).toBe(newTokens);
    const leads = ids.map((_, at) => best(logits[row]?.[prompt.length - 1 + at] ?? new Float32Array()));
    ids.forEach((id, at) => {
      if ((leads[at]?.lead ?? 0) <= lead) return;
      clear++;
      expect([row, at, id]).toEqual([row, at, leads[at]?.id]);
    });
    // From where two logits are as good as equal, the texts may go different ways.
    const parting = ids.findIndex((id, at) => alone[row]?.[at] !== id);
    if (parting >= 0)
      expect([row, parting, leads[parting]?.lead]).toEqual([
        row,
        parting,
        expect.toSatisfy((own: number) => own <= lead),
      ]);
  });
  // A model whose logits are all alike would prove nothing.
  expect(clear).toBeGreaterThan((prompts.length * newTokens) / 2);
}

function randomIds(length: number, below: number, seed: number): number[] {
  const rng = new Rng(seed);
  return Array.from({ length }, () => rng.integer(below));
}

function best(logits: Float32Array): { id: number; lead: number } {
  const [first = 0, second = 0] = [...logits.keys()].sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0));
  return { id: first, lead: (logits[first] ?? NaN) - (logits[second] ?? NaN) };
}

function expectClose(got: Float32Array, expected: Float32Array, where: string): void {
  expect(got.length).toBe(expected.length);
  let worst = 0;
  got.forEach(
    (value, at) =>
      (worst = Math.max(worst, Math.abs(value - (expected[at] ?? NaN)) / Math.max(1, Math.abs(expected[at] ?? NaN)))),
  );
  expect({ where, worst }).toEqual({ where, worst: expect.toSatisfy((own: number) => own < 1e-4) });
}

/** Logits at every position of each text, without a cache. */
async function logitsOf(
  model: CausalModel,
  backend: Backend,
  texts: readonly (readonly number[])[],
): Promise<Float32Array[][]> {
  const length = Math.max(...texts.map((text) => text.length));
  const forward = compile(backend, ({ ids, positions }) => {
    if (ids === undefined || positions === undefined) throw new TypeError('two inputs');
    return { logits: model.logits(reshape(model.hidden(ids, { positions }), [ids.size, model.shape.hiddenSize])) };
  });
  const shape = [texts.length, length];
  const { logits } = await forward.run({
    ids: { data: padded(texts, length), shape },
    positions: { data: Int32Array.from({ length: texts.length * length }, (_, at) => at % length), shape },
  });
  const result = split(await logits, texts, { length, width: model.shape.vocabularySize });
  await forward.dispose();
  return result;
}

function padded(texts: readonly (readonly number[])[], length: number): Int32Array {
  const ids = new Int32Array(texts.length * length);
  texts.forEach((text, row) => ids.set(text, row * length));
  return ids;
}

function split(
  logits: HostArray,
  texts: readonly (readonly number[])[],
  { length, width }: { length: number; width: number },
): Float32Array[][] {
  const all = logits as Float32Array;
  return texts.map((text, row) =>
    text.map((_, at) => all.slice((row * length + at) * width, (row * length + at + 1) * width)),
  );
}

/** Logits of pieces of texts whose beginnings are in the cache. */
class CachedLogits {
  private readonly caches: readonly LayerCache[];
  private readonly forward;

  constructor(
    private readonly model: CausalModel,
    backend: Backend,
    { batch, capacity }: { batch: number; capacity: number },
  ) {
    const { layers, keyHeads, headSize, hiddenSize } = model.shape;
    const cache = (): Tensor => persistent([batch, capacity, keyHeads, headSize]);
    this.caches = Array.from({ length: layers }, () => ({ keys: cache(), values: cache() }));
    this.forward = compile(backend, ({ ids, positions, lengths }) => {
      if (ids === undefined || positions === undefined || lengths === undefined) throw new TypeError('three inputs');
      return {
        logits: model.logits(reshape(model.hidden(ids, { positions, lengths }, this.caches), [ids.size, hiddenSize])),
      };
    });
  }

  async read(pieces: readonly (readonly number[])[], lengths: readonly number[]): Promise<Float32Array[][]> {
    const length = Math.max(...pieces.map((piece) => piece.length));
    const shape = [pieces.length, length];
    const positions = Int32Array.from(
      { length: pieces.length * length },
      (_, at) => (lengths[Math.floor(at / length)] ?? 0) + (at % length),
    );
    const { logits } = await this.forward.run({
      ids: { data: padded(pieces, length), shape },
      positions: { data: positions, shape },
      lengths: { data: Int32Array.from(lengths), shape: [lengths.length] },
    });
    return split(await logits, pieces, { length, width: this.model.shape.vocabularySize });
  }

  async dispose(): Promise<void> {
    await this.forward.dispose();
    for (const { keys, values } of this.caches) [keys, values].forEach((cache) => cache.dispose());
  }
}
