import { LowrankError } from '@lowrank/errors';
import type { Scalar, Tensor } from '@lowrank/tensor';
import { add, argmax, div, less, log, maximum, mul, neg, randomUniform, reshape, scalar, where } from '@lowrank/tensor';
import { sampleThreshold, scope } from '@lowrank/tensor/op';

/** How the next token is drawn. All of it is data to a plan. */
export interface SamplingOptions {
  /** 0 (the default) takes the likeliest token each time, whatever the filters say. */
  readonly temperature?: number;
  /** Draw among the k likeliest tokens; 0 (the default) for all. Tokens as likely as the k-th stay. */
  readonly topK?: number;
  /** Draw among the fewest likeliest tokens whose probabilities reach this sum; 1 (the default) for all. */
  readonly topP?: number;
  /** Draw among the tokens that are at least this fraction as likely as the likeliest; 0 (the default) for all. */
  readonly minP?: number;
  /**
   * Logits of tokens that the prompt or the text has are divided by this where positive, and multiplied where negative
   * (Keskar et al. 2019). 1 (the default) changes nothing.
   */
  readonly repetitionPenalty?: number;
  readonly seed?: number;
}

export type Sampling = Required<SamplingOptions>;

/**
 * Draws tokens on the device, in the order of transformers' logits processors: repetition penalty, temperature, top-k,
 * top-p, min-p, then softmax and one sample. The filters are all thresholds, so no row is sorted: `sampleThreshold`
 * finds the smallest logit that stays.
 */
export class Sampler {
  private readonly scalars: Record<'temperature' | 'topK' | 'topP' | 'minP' | 'repetitionPenalty', Scalar>;
  private readonly random = {
    seed: scalar(0, { dtype: 'u32', name: 'seed' }),
    step: scalar(0, { dtype: 'u32', name: 'step' }),
  };

  constructor() {
    const number = (name: string): Scalar => scalar(1, { name });
    this.scalars = {
      temperature: number('temperature'),
      topK: number('topK'),
      topP: number('topP'),
      minP: number('minP'),
      repetitionPenalty: number('repetitionPenalty'),
    };
  }

  /** A new text begins: equal settings and seeds give equal draws. */
  begin(sampling: Sampling): void {
    // The likeliest token survives every filter, so at temperature 0 they need not be computed.
    const used = sampling.temperature > 0 ? sampling : { ...sampling, topK: 0, topP: 1, minP: 0 };
    for (const [name, number] of Object.entries(this.scalars)) number.value = used[name as keyof typeof this.scalars];
    this.random.seed.value = sampling.seed;
    this.random.step.value = 0;
  }

  /** Before each run. */
  advance(): void {
    this.random.step.value++;
  }

  /**
   * logits [B, V] and seen [B, V] (1 for tokens that prompt or text have, else 0) → token ids i32 [B].
   *
   * A sample of softmax(x/t) is argmax(x + t·g) with g from the Gumbel distribution (Gumbel 1954; Maddison et al.
   * 2014): at t = 0 it is the likeliest token, so that one plan serves every temperature. The uniform number is kept
   * off 0 and 1, where the logarithms would overflow.
   */
  sample(logits: Tensor, seen: Tensor): Tensor {
    return scope('sample', () => {
      const { temperature, repetitionPenalty, topK, topP, minP } = this.scalars;
      const penalized = where(less(logits, 0), mul(logits, repetitionPenalty), div(logits, repetitionPenalty));
      const x = where(less(0, seen), penalized, logits);
      const least = reshape(sampleThreshold(x, { temperature, topK, topP, minP }), [logits.shape[0] ?? 1, 1]);
      const uniform = add(mul(randomUniform(logits.shape, this.random, 0), 0.9999998), 1e-7);
      const gumbel = neg(log(maximum(neg(log(uniform)), 1e-7)));
      return argmax(where(less(x, least), -3e38, add(x, mul(gumbel, temperature))));
    });
  }
}

/** @throws LowrankError `models.generate` */
export function checkSampling(options: SamplingOptions): Sampling {
  const { temperature = 0, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1, seed = 0 } = options;
  checkSetting('temperature', Number.isFinite(temperature) && temperature >= 0, 'a number of at least 0', temperature);
  checkSetting('topK', Number.isInteger(topK) && topK >= 0, 'a whole number of at least 0 (0 for no limit)', topK);
  checkSetting('topP', topP > 0 && topP <= 1, 'a number above 0 and at most 1', topP);
  checkSetting('minP', minP >= 0 && minP <= 1, 'a number from 0 to 1', minP);
  checkSetting(
    'repetitionPenalty',
    Number.isFinite(repetitionPenalty) && repetitionPenalty > 0,
    'a number above 0',
    repetitionPenalty,
  );
  checkSetting(
    'seed',
    Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32,
    'a whole number from 0 to 4294967295',
    seed,
  );
  return { temperature, topK, topP, minP, repetitionPenalty, seed };
}

export function checkSetting(name: string, good: boolean, expected: string, got: unknown): void {
  if (!good)
    throw new LowrankError({
      code: 'models.generate',
      what: `the generation setting ${name}`,
      expected,
      got: String(got),
    });
}
