import type { MatmulAttrs } from '../ops/matmulOperands.js';
import { matmulOp } from '../ops/matmul.js';
import { concatOp, sliceOp } from '../ops/movement.js';
import type { RowPiece } from '../rowPieces.js';
import { Value } from './program.js';
import { sumOfTerms } from './splitArithmetic.js';
import type { Splitter, SplitRule, ValuePiece } from './splitter.js';

/** A product whose result or whose operands lie in pieces. */
export const splitMatmul: SplitRule = (instruction, splitter) => {
  const {
    attrs,
    inputs: [a, b],
    outputs: [y],
  } = instruction;
  const { encoding, lowRank, addend } = attrs as MatmulAttrs;
  if (encoding !== undefined) return splitCodes(instruction, splitter);
  if (
    a === undefined ||
    b === undefined ||
    y === undefined ||
    lowRank !== undefined ||
    addend !== undefined ||
    y.spec.shape.length !== 2
  )
    return false;
  const { transposeA, transposeB } = attrs as MatmulAttrs;
  const cuts = splitter.cuts(y);
  const factors = { a, b, transposeA, transposeB };
  if (cuts === undefined) {
    product(splitter, factors, y);
    return true;
  }
  const parts = cuts.map((cut) => {
    const part = transposeA ? columns(splitter, a, cut) : splitter.rowsOf(a, cut);
    return {
      ...cut,
      value: product(
        splitter,
        { ...factors, a: part },
        new Value({ shape: [cut.rows, y.spec.shape[1] ?? 1], dtype: 'f32' }),
      ),
    };
  });
  splitter.split(y, parts);
  return true;
};

/** A product with a matrix of codes that lies in pieces of whole rows, each row with its own scale. */
const splitCodes: SplitRule = ({ attrs, inputs, outputs: [y] }, splitter) => {
  const { encoding, transposeA, transposeB, lowRank, addend } = attrs as MatmulAttrs;
  const [a, codes, absmax] = inputs;
  const pieces = codes === undefined ? undefined : splitter.piecesOf(codes);
  if (
    a === undefined ||
    absmax === undefined ||
    y === undefined ||
    pieces === undefined ||
    encoding?.kind !== 'rows8' ||
    lowRank !== undefined ||
    addend !== undefined ||
    splitter.piecesOf(a) !== undefined ||
    splitter.cuts(y) !== undefined
  )
    return false;
  const times = (left: Value, { value, ...cut }: ValuePiece, into?: Value): Value => {
    const own: MatmulAttrs = { transposeA, transposeB, encoding: { ...encoding, rows: cut.rows } };
    return splitter.emit(matmulOp, own, [left, value, splitter.rowsOf(absmax, cut)], into);
  };
  if (transposeB)
    splitter.emit(
      concatOp,
      { axis: 1 },
      pieces.map((piece) => times(a, piece)),
      y,
    );
  else
    sumOfTerms(
      splitter,
      pieces.map((piece) => (into) => times(columns(splitter, a, piece), piece, into)),
      y,
    );
  return true;
};

interface Factors {
  readonly a: Value;
  readonly b: Value;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/** a·b into y, which is one piece; a or b may be cut. */
function product(splitter: Splitter, { a, b, transposeA, transposeB }: Factors, y: Value): Value {
  const attrs = { transposeA, transposeB };
  const own = splitter.piecesOf(a);
  if (own !== undefined && !transposeA)
    return splitter.emit(
      concatOp,
      { axis: 0 },
      own.map(({ value }) => splitter.emit(matmulOp, attrs, [value, splitter.whole(b, 'a product')])),
      y,
    );
  if (own !== undefined)
    return sumOfTerms(
      splitter,
      own.map(
        ({ value, ...cut }) =>
          (into) =>
            splitter.emit(
              matmulOp,
              attrs,
              [value, transposeB ? columns(splitter, b, cut) : splitter.rowsOf(b, cut)],
              into,
            ),
      ),
      y,
    );
  const pieces = splitter.piecesOf(b);
  if (pieces === undefined) return splitter.emit(matmulOp, attrs, [splitter.whole(a, 'a'), splitter.whole(b, 'b')], y);
  // Rows of a transposed b are columns of y; else they are the inner axis, and the products add up.
  if (transposeB)
    return splitter.emit(
      concatOp,
      { axis: 1 },
      pieces.map(({ value }) => splitter.emit(matmulOp, attrs, [a, value])),
      y,
    );
  return sumOfTerms(
    splitter,
    pieces.map(
      ({ value, ...cut }) =>
        (into) =>
          splitter.emit(
            matmulOp,
            attrs,
            [transposeA ? splitter.rowsOf(a, cut) : columns(splitter, a, cut), value],
            into,
          ),
    ),
    y,
  );
}

/** Those columns of a matrix, copied out. */
function columns(splitter: Splitter, matrix: Value, { start, rows: count }: RowPiece): Value {
  return splitter.emit(sliceOp, { starts: [0, start], sizes: [matrix.spec.shape[0] ?? 1, count] }, [
    splitter.whole(matrix, 'a product'),
  ]);
}
