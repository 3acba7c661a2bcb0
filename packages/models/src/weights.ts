import type { LinearLike, Projection } from '@lowrank/nn';
import { Conv1d, Embedding, Linear, TiedLinear } from '@lowrank/nn';
import { QuantizedEmbedding, QuantizedLinear, TiedQuantizedLinear } from '@lowrank/quant';
import type { DType, Tensor } from '@lowrank/tensor';
import type { EncodedMatrix } from '@lowrank/tensor/op';

/**
 * Where a family takes its weights from, by the checkpoint's names below some prefix. It asks for each once and says
 * the shape it needs. When it has asked for all, missing, misshapen and unexpected weights are reported together.
 */
export interface WeightSource {
  /**
   * A linear layer from `name.weight` `[out, in]` and, with a bias, `name.bias` `[out]`: quantized where the
   * checkpoint or the caller says so.
   */
  linear(name: string, shape: readonly [out: number, input: number], options?: { readonly bias?: boolean }): LinearLike;
  /**
   * GPT-2's linear layer, from `name.weight` [in, out] and `name.bias` [out]; quantized as [out, in], as bitsandbytes
   * does.
   */
  conv1d(name: string, shape: readonly [input: number, out: number]): LinearLike;
  /** The embedding of tokens, from `name.weight` [V, D]: in codes where the caller says so. */
  tokens(name: string, shape: readonly [rows: number, width: number]): TokenTable;
  /** The output projection from `name.weight` [V, D], in codes where `tokens` is, or over the table it is `tied` to. */
  output(name: string, shape: readonly [rows: number, width: number], tied?: TokenTable): LinearLike & Projection;
  /** A matrix in the dtype it is stored in: f32, f16 or bf16. */
  matrix(name: string, shape: readonly number[]): Tensor;
  /** A norm's or a bias's vector, in f32. */
  vector(name: string, shape: readonly number[]): Tensor;
  /** The same source, below `name.`. */
  under(name: string): WeightSource;
}

/** An embedding of tokens, dense or in codes. */
export type TokenTable = Embedding | QuantizedEmbedding;

/** What a model asked for, by full name. A linear layer's matrix is the one that may be quantized. */
export interface WeightRequest {
  readonly name: string;
  readonly shape: readonly number[];
  /** A `table` is looked up by token id, or gives a logit for each. */
  readonly kind: 'matrix' | 'vector' | 'linear' | 'table';
  /** Where it is not quantized, it is stored the other way round: [in, out]. */
  readonly transposed?: boolean;
}

/** A source's answer to a request. */
export interface WeightMaker {
  tensor(request: WeightRequest): Tensor;
  /** A layer other than nn's Linear for this matrix, if it needs one. */
  linear?(request: WeightRequest, bias: () => Tensor | undefined): LinearLike | undefined;
  /** The codes of a table, and the dtype that it has without them, if it is to be in codes. */
  table?(request: WeightRequest): { readonly matrix: EncodedMatrix; readonly dtype: DType } | undefined;
}

/** A source that passes each request on to `maker`, under its full name. */
export function weightSource(maker: WeightMaker, prefix = ''): WeightSource {
  const tensor = (name: string, shape: readonly number[], kind: WeightRequest['kind']): Tensor =>
    maker.tensor({ name: prefix + name, shape, kind });
  return {
    linear(name, shape, { bias = false } = {}) {
      const biasOf = (): Tensor | undefined => (bias ? tensor(`${name}.bias`, [shape[0]], 'vector') : undefined);
      const request: WeightRequest = { name: `${prefix}${name}.weight`, shape, kind: 'linear' };
      return maker.linear?.(request, biasOf) ?? new Linear(maker.tensor(request), biasOf());
    },
    conv1d(name, [input, out]) {
      const biasOf = (): Tensor => tensor(`${name}.bias`, [out], 'vector');
      const request: WeightRequest = {
        name: `${prefix}${name}.weight`,
        shape: [out, input],
        kind: 'linear',
        transposed: true,
      };
      return maker.linear?.(request, biasOf) ?? new Conv1d(tensor(`${name}.weight`, [input, out], 'matrix'), biasOf());
    },
    tokens(name, shape) {
      const request: WeightRequest = { name: `${prefix}${name}.weight`, shape, kind: 'table' };
      const codes = maker.table?.(request);
      return codes === undefined
        ? new Embedding(maker.tensor(request))
        : new QuantizedEmbedding(codes.matrix, codes.dtype);
    },
    output(name, shape, tied) {
      if (tied !== undefined)
        return tied instanceof QuantizedEmbedding ? new TiedQuantizedLinear(tied) : new TiedLinear(tied.weight);
      const request: WeightRequest = { name: `${prefix}${name}.weight`, shape, kind: 'table' };
      const codes = maker.table?.(request);
      return codes === undefined ? new Linear(maker.tensor(request)) : new QuantizedLinear(codes.matrix);
    },
    matrix: (name, shape) => tensor(name, shape, 'matrix'),
    vector: (name, shape) => tensor(name, shape, 'vector'),
    under: (name) => weightSource(maker, `${prefix}${name}.`),
  };
}

/** The dtype of a table's numbers in its checkpoint, or f32. */
export function tableDtype(table: TokenTable): DType {
  return table instanceof QuantizedEmbedding ? table.dtype : table.weight.tensor.dtype;
}
