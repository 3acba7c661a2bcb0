import { LowrankError } from '@lowrank/errors';
import type { LayerCache } from '@lowrank/nn';
import type { Backend, CompiledFunction, HostTensor, Tensor } from '@lowrank/tensor';
import { add, Arena, argmax, compile, embedding, log, maximum, mul, neg, persistent, randomUniform, reshape, scalar, scope } from '@lowrank/tensor';
import type { CausalModel } from './causalModel.js';

export interface GenerateOptions {
  readonly maxNewTokens: number;
  /** 0 for the likeliest token each time. */
  readonly temperature?: number;
  readonly seed?: number;
  /** Tokens that end a text and are not part of it. */
  readonly stopIds?: readonly number[];
  /** Sees each token as it is made. */
  readonly onToken?: (id: number, prompt: number) => void;
  /** Ends all texts after the token at hand. */
  readonly signal?: AbortSignal;
}

/** Static sizes, so that few plans serve all requests. */
const bucketSizes = (maximumSize: number): number[] => [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072].filter((size) => size < maximumSize).concat(maximumSize);

/**
 * Continues each prompt: a prefill plan reads them, then a decode plan runs once per token, with keys and values cached in place. Positions, lengths, temperature and seed
 * are data: one plan serves all tokens. Prompts of unlike lengths are padded at the end and decoded side by side.
 *
 * @returns the new tokens of each prompt
 * @throws LowrankError `models.generate` for a setting out of range, `models.prompt` for an empty prompt or an id beyond the vocabulary, `models.tooLong` beyond the model's positions
 */
export async function generate(model: CausalModel, { backend, prompts }: { backend: Backend; prompts: readonly (readonly number[])[] }, options: GenerateOptions): Promise<number[][]> {
  const { maxNewTokens, temperature = 0, seed = 0, stopIds = [], onToken, signal } = options;
  checkSettings({ maxNewTokens, temperature, seed });
  checkPrompts(model, prompts, maxNewTokens);
  if (prompts.length === 0 || maxNewTokens === 0) return prompts.map(() => []);
  const longest = Math.max(...prompts.map((prompt) => prompt.length));
  const decoder = new Decoder(model, backend, { batch: prompts.length, capacity: longest + maxNewTokens, temperature, seed });
  try {
    const texts: number[][] = prompts.map(() => []);
    const open = prompts.map(() => true);
    let next = await decoder.prefill(prompts, longest);
    for (let count = 1; ; count++) {
      texts.forEach((text, at) => {
        const id = next[at];
        if (open[at] !== true || id === undefined) return;
        if (stopIds.includes(id)) open[at] = false;
        else {
          text.push(id);
          onToken?.(id, at);
        }
      });
      if (count === maxNewTokens || !open.includes(true) || signal?.aborted === true) return texts;
      next = await decoder.decode(next);
    }
  } finally {
    await decoder.dispose();
  }
}

interface DecoderOptions {
  batch: number;
  capacity: number;
  temperature: number;
  seed: number;
}

/** The plans and caches of one generation. */
class Decoder {
  private readonly caches: LayerCache[];
  private readonly arena: Arena;
  private readonly step: CompiledFunction<{ token: Tensor }>;
  private readonly random: { seed: ReturnType<typeof scalar>; step: ReturnType<typeof scalar> };
  private lengths: Int32Array;

  constructor(model: CausalModel, backend: Backend, { batch, capacity, temperature, seed }: DecoderOptions) {
    const { layers, keyHeads, headSize, maxPositions, hiddenSize } = model.shape;
    const size = bucketSizes(maxPositions).find((bucket) => bucket >= capacity) ?? capacity;
    const cache = (): Tensor => persistent([batch, size, keyHeads, headSize], { name: 'cache' });
    this.caches = Array.from({ length: layers }, () => ({ keys: cache(), values: cache() }));
    this.lengths = new Int32Array(batch);
    this.random = { seed: scalar(seed, { dtype: 'u32', name: 'seed' }), step: scalar(0, { dtype: 'u32', name: 'step' }) };
    const heat = scalar(temperature, { name: 'temperature' });
    this.arena = new Arena(backend);
    this.step = compile(
      backend,
      ({ ids, positions, lengths, last }) => {
        if (ids === undefined || positions === undefined || lengths === undefined || last === undefined) throw new TypeError('the decoder has four inputs');
        const hidden = model.hidden(ids, { positions, lengths }, this.caches);
        const rows = embedding(reshape(hidden, [ids.size, hiddenSize]), last);
        return scope('sample', () => ({ token: this.sample(model.logits(rows), heat) }));
      },
      { arena: this.arena },
    );
  }

  /** Reads the prompts; gives the first new token of each. */
  prefill(prompts: readonly (readonly number[])[], longest: number): Promise<ArrayLike<number>> {
    const batch = prompts.length;
    const length = bucketSizes(this.caches[0]?.keys.shape[1] ?? longest).find((bucket) => bucket >= longest) ?? longest;
    const ids = new Int32Array(batch * length);
    prompts.forEach((prompt, row) => ids.set(prompt, row * length));
    const positions = Int32Array.from({ length: batch * length }, (_, at) => at % length);
    const last = Int32Array.from(prompts, (prompt, row) => row * length + prompt.length - 1);
    const result = this.run({ ids: { data: ids, shape: [batch, length] }, positions: { data: positions, shape: [batch, length] }, last: { data: last, shape: [batch] } });
    this.lengths = Int32Array.from(prompts, (prompt) => prompt.length);
    return result;
  }

  /** Reads one token per text; gives the next. */
  decode(tokens: ArrayLike<number>): Promise<ArrayLike<number>> {
    const shape = [this.lengths.length, 1];
    const last = Int32Array.from(this.lengths, (_, at) => at);
    const result = this.run({ ids: { data: Int32Array.from(tokens), shape }, positions: { data: this.lengths.slice(), shape }, last: { data: last, shape: [last.length] } });
    this.lengths = this.lengths.map((length) => length + 1);
    return result;
  }

  async dispose(): Promise<void> {
    await this.step.dispose();
    this.arena.dispose();
    for (const { keys, values } of this.caches) [keys, values].forEach((cache) => cache.dispose());
  }

  private async run(inputs: Record<string, HostTensor>): Promise<ArrayLike<number>> {
    this.random.step.value++;
    const { token } = await this.step.run({ ...inputs, lengths: { data: this.lengths.slice(), shape: [this.lengths.length] } });
    return token;
  }

  /**
   * A draw from softmax(logits/t) as argmax(logits + t·g), with g from the Gumbel distribution (Gumbel 1954; Maddison et al. 2014): at t = 0 it is the likeliest token, so that
   * one plan serves every temperature. The uniform draw is kept off 0 and 1, where the logarithms would overflow.
   */
  private sample(logits: Tensor, temperature: ReturnType<typeof scalar>): Tensor {
    const uniform = add(mul(randomUniform(logits.shape, this.random, 0), 0.9999998), 1e-7);
    const gumbel = neg(log(maximum(neg(log(uniform)), 1e-7)));
    return argmax(add(logits, mul(gumbel, temperature)));
  }
}

function checkSettings({ maxNewTokens, temperature, seed }: { maxNewTokens: number; temperature: number; seed: number }): void {
  const check = (name: string, good: boolean, expected: string, got: number): void => {
    if (!good) throw new LowrankError({ code: 'models.generate', what: `the generation setting ${name}`, expected, got: String(got) });
  };
  check('maxNewTokens', Number.isInteger(maxNewTokens) && maxNewTokens >= 0, 'a whole number of at least 0', maxNewTokens);
  check('temperature', Number.isFinite(temperature) && temperature >= 0, 'a number of at least 0', temperature);
  check('seed', Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32, 'a whole number from 0 to 4294967295', seed);
}

function checkPrompts({ shape }: CausalModel, prompts: readonly (readonly number[])[], maxNewTokens: number): void {
  prompts.forEach((prompt, at) => {
    if (prompt.length === 0) throw new LowrankError({ code: 'models.prompt', what: `prompt ${at}`, expected: 'at least one token', got: 'none', remedy: 'Begin with the BOS token.' });
    const strange = prompt.find((id) => !Number.isInteger(id) || id < 0 || id >= shape.vocabularySize);
    if (strange !== undefined) throw new LowrankError({ code: 'models.prompt', what: `prompt ${at}`, expected: `token ids below ${shape.vocabularySize}, the model's vocabulary`, got: String(strange), remedy: 'Use the tokenizer that belongs to the model.' });
    if (prompt.length + maxNewTokens <= shape.maxPositions) return;
    throw new LowrankError({ code: 'models.tooLong', what: `prompt ${at} with ${maxNewTokens} new tokens`, expected: `at most ${shape.maxPositions} positions`, got: String(prompt.length + maxNewTokens), remedy: 'Shorten the prompt, or ask for fewer tokens.' });
  });
}
