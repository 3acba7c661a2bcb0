import { LowrankError } from '@lowrank/errors';
import type { Layer, Linear, Projection, ProjectionParts } from '@lowrank/nn';
import { Embedding, Module, Parameter, projected } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add, cast, embedding, matmul, mul, sub, sum, tensor } from '@lowrank/tensor';
import { scope, toBf16 } from '@lowrank/tensor/op';

/** One adapter's rows. */
export interface TokenWeights {
  /** i32 [n] */
  readonly ids: Tensor;
  /** `[V, n]`: 1 where a token's row is the nth one, else 0. */
  readonly places: Tensor;
  /** D [n, width] */
  readonly rows: Parameter;
}

/**
 * Which ids of a table have rows of their own, and those rows.
 *
 * @param vocabulary V
 * @throws LowrankError `lora.tokens` for an id beyond the vocabulary
 */
export function tokenWeights(indices: readonly number[], vocabulary: number, rows: Parameter): TokenWeights {
  const odd = indices.find((id) => id >= vocabulary);
  if (odd !== undefined)
    throw new LowrankError({
      code: 'lora.tokens',
      what: `the trained token ${odd}`,
      expected: `an id below the vocabulary's size, ${vocabulary}`,
      got: String(odd),
    });
  const places = new Uint16Array(vocabulary * indices.length);
  const one = toBf16(1);
  indices.forEach((id, at) => (places[id * indices.length + at] = one));
  // Two elements of 16 bits share a word.
  const shape = [vocabulary, indices.length];
  return {
    ids: tensor(Int32Array.from(indices), [indices.length], { name: 'tokenIds' }),
    places:
      places.length % 2 === 0
        ? tensor(places, shape, { dtype: 'bf16', name: 'tokenPlaces' })
        : tensor(
            Float32Array.from(places, (bits) => (bits === 0 ? 0 : 1)),
            shape,
            { name: 'tokenPlaces' },
          ),
    rows,
  };
}

/**
 * An embedding or an output projection of which some rows are trained (PEFT's TrainableTokensLayer): W' is W with the
 * rows D in place of W[ids], and is never formed. With E [V, n] the places of those rows, e(i) = (1 − Σ E[i])·W[i] +
 * E[i]·D, and x·W'ᵀ = x·Wᵀ + (x·(D − W[ids])ᵀ)·Eᵀ: a term of rank n. An output projection that is tied to the embedding
 * follows it: it has the same rows.
 */
export class TokenRows extends Module implements Layer, Projection {
  readonly #own = new Map<string, TokenWeights>();
  active: readonly string[] = [];

  constructor(
    readonly base: Embedding | Linear,
    /** Whose rows are used: those of the embedding that this output projection is tied to. */
    readonly leader?: TokenRows,
  ) {
    super();
    this.child('base_layer', base);
    if (leader !== undefined) this.borrowed(leader);
  }

  get adapters(): ReadonlyMap<string, TokenWeights> {
    return this.leader?.adapters ?? this.#own;
  }

  add(name: string, weights: TokenWeights): void {
    this.#own.set(name, weights);
    for (const [key, parameter] of this.owned(name, weights)) this.parameter(key, parameter);
  }

  /** Takes an adapter's rows out and frees them. */
  remove(name: string): void {
    this.active = this.active.filter((other) => other !== name);
    const weights = this.#own.get(name);
    if (weights === undefined) return;
    this.#own.delete(name);
    for (const [key, { own }] of this.owned(name, weights)) {
      this.dropParameter(key);
      own.dispose();
    }
  }

  /** Ids and places are constants, and freed with the model as parameters are. */
  private owned(name: string, { rows, ids, places }: TokenWeights): [key: string, parameter: Parameter][] {
    return [
      [`token_adapter.trainable_tokens_delta.${name}`, rows],
      [`token_adapter.ids.${name}`, new Parameter(ids, false)],
      [`token_adapter.places.${name}`, new Parameter(places, false)],
    ];
  }

  forward(x: Tensor): Tensor {
    const { base } = this;
    if (!(base instanceof Embedding)) return projected(x, this.parts(x));
    return this.used().reduce((y, { places, rows }) => {
      const found = embedding(places, x);
      return add(mul(y, sub(1, sum(found, { axis: -1, keepDims: true }))), matmul(found, rows.tensor));
    }, base.forward(x));
  }

  parts(x: Tensor): ProjectionParts {
    const { base } = this;
    if (base instanceof Embedding) throw new TypeError('an embedding is no projection');
    const { weight, terms } = base.parts(x);
    const added = this.used().map(({ ids, places, rows }) =>
      scope('tokens', () => ({
        h: matmul(x, sub(rows.tensor, cast(embedding(weight, ids), 'f32')), { transposeB: true }),
        b: places,
      })),
    );
    return { weight, terms: [...terms, ...added] };
  }

  private used(): TokenWeights[] {
    return this.active.flatMap((name) => this.adapters.get(name) ?? []);
  }
}
