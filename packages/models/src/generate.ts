import { LowrankError } from '@lowrank/errors';
import type { Backend } from '@lowrank/tensor';
import { Arena } from '@lowrank/tensor/backend';
import type { CausalModel } from './causalModel.js';
import { bucketOf, Decoder } from './decoder.js';
import type { KvCache } from './kvCache.js';
import type { SamplingOptions } from './sampling.js';
import { checkSampling, checkSetting, Sampler } from './sampling.js';
import { TextEnds } from './textEnds.js';
import type { GeneratedText, Prompt, TextEndOptions } from './textEnds.js';

export interface GeneratorOptions extends SamplingOptions, TextEndOptions {
  readonly maxNewTokens: number;
  /** Ends all texts after the current token. */
  readonly signal?: AbortSignal;
  /**
   * Does not read again what a row has in common with the last text in its place: for chats, whose prompt is the last
   * one and more. Only while the weights stay as they are. Default false.
   */
  readonly reusePrefix?: boolean;
}

/**
 * A model ready to write: plans and caches are made when first needed and kept. One request at a time; others wait
 * their turn.
 */
export interface Generator {
  /**
   * Continues each prompt.
   *
   * @throws LowrankError `models.generate` for a setting out of range, `models.prompt` for an empty prompt or an id
   * beyond the vocabulary, `models.tooLong` beyond the model's positions
   */
  generate(prompts: readonly Prompt[], options: GeneratorOptions): Promise<GeneratedText[]>;
  /** Frees plans and caches once the current request is done. */
  dispose(): Promise<void>;
}

/** Options of {@link createGenerator}: where it writes, and how it keeps what it has read. */
export interface CreateGeneratorOptions {
  readonly backend: Backend;
  /**
   * Keeps keys and values in f32, or rounded to f16: half the memory, and half of what each token reads of it. Beyond
   * ±65,504, which no usual model reaches, f16 has infinity. Default: f16 on a backend of mixed precision, else f32.
   */
  readonly kvCache?: KvCache | undefined;
}

/** Batches of different sizes whose caches are kept; the one not used for longest goes first. */
const keptDecoders = 4;

/**
 * Makes a generator over a model. For each number of prompts it keeps a cache of a power of two of positions (it grows
 * when a request needs more), a prefill plan per length bucket and one decode plan; a request that fits what is there
 * creates nothing on the device. A plan keeps the adapters that the model had when it was made: make a generator for
 * each set of adapters.
 */
export function createGenerator(model: CausalModel, options: CreateGeneratorOptions): Generator {
  return new CachedGenerator(model, options);
}

/**
 * Continues each prompt, once: plans and caches are made and freed. {@link createGenerator} keeps them. Returns the new
 * tokens of each prompt.
 */
export async function generate(
  model: CausalModel,
  { prompts, ...on }: CreateGeneratorOptions & { readonly prompts: readonly Prompt[] },
  options: GeneratorOptions,
): Promise<number[][]> {
  const generator = createGenerator(model, on);
  try {
    return (await generator.generate(prompts, options)).map(({ ids }) => [...ids]);
  } finally {
    await generator.dispose();
  }
}

class CachedGenerator implements Generator {
  private readonly arena: Arena;
  private readonly sampler = new Sampler();
  /** By number of rows, the one used last at the end. */
  private readonly decoders = new Map<number, Decoder>();
  private last: Promise<unknown> = Promise.resolve();
  private disposed = false;

  constructor(
    private readonly model: CausalModel,
    private readonly options: CreateGeneratorOptions,
  ) {
    this.arena = new Arena(options.backend);
  }

  async generate(prompts: readonly Prompt[], options: GeneratorOptions): Promise<GeneratedText[]> {
    const turn = this.last.then(() => this.generateNow(prompts, options));
    this.last = turn.catch(() => undefined);
    return turn;
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    await this.last;
    for (const decoder of this.decoders.values()) await decoder.dispose();
    this.decoders.clear();
    this.arena.dispose();
  }

  private async generateNow(prompts: readonly Prompt[], options: GeneratorOptions): Promise<GeneratedText[]> {
    if (this.disposed)
      throw new LowrankError({
        code: 'models.disposed',
        what: 'a generator',
        expected: 'a live one',
        got: 'a disposed one',
      });
    const { maxNewTokens, reusePrefix: keep = false, signal } = options;
    const sampling = checkSampling(options);
    checkSetting(
      'maxNewTokens',
      Number.isInteger(maxNewTokens) && maxNewTokens >= 0,
      'a whole number of at least 0',
      maxNewTokens,
    );
    checkPrompts(this.model, prompts, maxNewTokens);
    const texts = new TextEnds(prompts, options);
    if (prompts.length === 0 || maxNewTokens === 0) return texts.end('length');
    this.sampler.begin(sampling);
    const whole = withVirtualTokens(this.model, prompts);
    const decoder = await this.decoderFor(
      prompts.length,
      Math.max(...whole.map(({ length }) => length)) + maxNewTokens,
    );
    let drawing = await decoder.begin(whole, { keep, more: maxNewTokens > 1 });
    try {
      for (let count = 1; ; count++) {
        // The next step is on its way before the host looks at this one's tokens. Where they end all texts, it was in
        // vain, and does no harm.
        const following = count < maxNewTokens ? await decoder.next() : undefined;
        following?.token.catch(() => undefined);
        texts.push(await drawing.token);
        if (following === undefined) return texts.end('length');
        if (signal?.aborted === true) return texts.end('signal');
        if (!texts.open) return texts.end('length');
        drawing = following;
      }
    } finally {
      decoder.wrote(texts.ids);
    }
  }

  private async decoderFor(batch: number, length: number): Promise<Decoder> {
    const known = this.decoders.get(batch);
    this.decoders.delete(batch);
    if (known !== undefined && known.capacity >= length) {
      this.decoders.set(batch, known);
      return known;
    }
    await known?.dispose();
    const [oldest] = this.decoders;
    if (oldest !== undefined && this.decoders.size >= keptDecoders) {
      this.decoders.delete(oldest[0]);
      await oldest[1].dispose();
    }
    const { model, arena, sampler } = this;
    const made = new Decoder(model, {
      ...this.options,
      arena,
      sampler,
      batch,
      capacity: bucketOf(length, model.shape.maxPositions),
    });
    this.decoders.set(batch, made);
    return made;
  }
}

/** The ids of virtual tokens, which follow the vocabulary, before each prompt. */
function withVirtualTokens({ shape, virtualTokens }: CausalModel, prompts: readonly Prompt[]): readonly Prompt[] {
  if (virtualTokens === 0) return prompts;
  const ids = Array.from({ length: virtualTokens }, (_, at) => shape.vocabularySize + at);
  return prompts.map((prompt) => [...ids, ...prompt]);
}

function checkPrompts({ shape, virtualTokens }: CausalModel, prompts: readonly Prompt[], maxNewTokens: number): void {
  prompts.forEach((prompt, at) => {
    if (prompt.length === 0)
      throw new LowrankError({
        code: 'models.prompt',
        what: `prompt ${at}`,
        expected: 'at least one token',
        got: 'none',
        remedy: 'Begin with the BOS token.',
      });
    const strange = prompt.find((id) => !Number.isInteger(id) || id < 0 || id >= shape.vocabularySize);
    if (strange !== undefined)
      throw new LowrankError({
        code: 'models.prompt',
        what: `prompt ${at}`,
        expected: `token ids below ${shape.vocabularySize}, the model's vocabulary`,
        got: String(strange),
        remedy: 'Use the tokenizer that belongs to the model.',
      });
    const room = shape.maxPositions - virtualTokens;
    if (prompt.length + maxNewTokens <= room) return;
    throw new LowrankError({
      code: 'models.tooLong',
      what: `prompt ${at} with ${maxNewTokens} new tokens`,
      expected: `at most ${room} positions${virtualTokens === 0 ? '' : `, besides ${virtualTokens} virtual tokens`}`,
      got: String(prompt.length + maxNewTokens),
      remedy: 'Shorten the prompt, or ask for fewer tokens.',
    });
  });
}
