import { castOp } from '../ops/cast.js';
import type { ElementwiseAttrs, ElementwiseInstruction } from '../ops/elementwise.js';
import { elementwise } from '../ops/elementwise.js';
import { concatOp } from '../ops/movement.js';
import type { ReduceAttrs } from '../ops/reduce.js';
import { reduce } from '../ops/reduce.js';
import { gatherRows, scatterAddRows } from '../ops/rows.js';
import { squaredNormOp } from '../ops/squaredNorm.js';
import type { RowPiece } from '../rowPieces.js';
import type { Shape } from '../shape.js';
import { Value, viewOf } from './program.js';
import { arithmetic, constant, join, sumOfTerms } from './splitArithmetic.js';
import { splitAdamw, splitAdamw8bit } from './splitOptimizer.js';
import { splitMatmul } from './splitProduct.js';
import type { Splitter, SplitRule } from './splitter.js';

/** The ops that take tensors beyond one binding. */
export const splitRules: Readonly<Record<string, SplitRule>> = {
  /**
   * Each piece looks up the ids as if all were its own, and a row is taken from the last piece that begins at or before
   * its id.
   */
  gatherRows({ inputs: [table, ids], outputs: [y] }, splitter) {
    const pieces = table === undefined ? undefined : splitter.piecesOf(table);
    if (pieces === undefined || ids === undefined || y === undefined || splitter.cuts(y) !== undefined) return false;
    const places = splitter.emit(castOp, { dtype: 'f32' }, [ids]);
    const column = viewOf(places, { shape: [...ids.spec.shape, 1], dtype: 'f32' });
    let found: Value | undefined;
    pieces.forEach(({ start, rows, value }, at) => {
      const target = at === pieces.length - 1 ? y : new Value(y.spec);
      const own = found === undefined ? target : new Value(y.spec);
      splitter.emit(gatherRows, {}, [value, localIds(splitter, places, { start, rows })], own);
      // ids < start ? what was found : own
      if (found !== undefined)
        arithmetic(
          splitter,
          [constant(start), { fn: 'less', args: [0, 3] }, { fn: 'select', args: [4, 1, 2] }],
          [column, found, own],
          target,
        );
      found = target;
    });
    return true;
  },

  /** Rows of other pieces are added as zeros, to whichever row is near. */
  scatterAddRows({ inputs: [g, ids], outputs: [y] }, splitter) {
    const cuts = y === undefined ? undefined : splitter.cuts(y);
    if (cuts === undefined || g === undefined || ids === undefined || y === undefined) return false;
    const places = splitter.emit(castOp, { dtype: 'f32' }, [ids]);
    const width = y.spec.shape[1] ?? 1;
    const rows = viewOf(g, { shape: [...ids.spec.shape, width], dtype: 'f32' });
    const column = viewOf(places, { shape: [...ids.spec.shape, 1], dtype: 'f32' });
    splitter.split(
      y,
      cuts.map((cut) => {
        const inside: ElementwiseInstruction[] = [
          constant(cut.start),
          { fn: 'lessEqual', args: [2, 0] },
          constant(cut.start + cut.rows),
          { fn: 'less', args: [0, 4] },
          { fn: 'mul', args: [3, 5] },
          constant(0),
          { fn: 'select', args: [6, 1, 7] },
        ];
        const own = arithmetic(splitter, inside, [column, rows]);
        return {
          ...cut,
          value: splitter.emit(scatterAddRows, { rows: cut.rows }, [own, localIds(splitter, places, cut)]),
        };
      }),
    );
    return true;
  },

  matmul: splitMatmul,

  elementwise({ attrs, inputs, outputs: [y] }, splitter) {
    if (y === undefined || y.spec.shape.length === 0) return false;
    const { program, shape } = attrs as ElementwiseAttrs;
    const alike = inputs.find((input) => sameRows(input, shape) && splitter.piecesOf(input) !== undefined);
    const cuts = splitter.cuts(y) ?? (alike === undefined ? undefined : splitter.piecesOf(alike));
    if (cuts === undefined) return false;
    const pieceOf = (input: Value, cut: RowPiece): Value =>
      sameRows(input, shape) ? splitter.rowsOf(input, cut) : splitter.whole(input, 'a smaller operand of elementwise');
    splitter.split(
      y,
      cuts.map((cut) => ({
        ...cut,
        value: splitter.emit(
          elementwise,
          { program, shape: [cut.rows, ...shape.slice(1)] },
          inputs.map((input) => pieceOf(input, cut)),
        ),
      })),
    );
    return true;
  },

  cast({ attrs, inputs: [x], outputs: [y] }, splitter) {
    if (x === undefined || y === undefined) return false;
    const cuts = splitter.piecesOf(x) ?? splitter.cuts(y) ?? [];
    splitter.split(
      y,
      cuts.map((cut) => ({ ...cut, value: splitter.emit(castOp, attrs, [splitter.rowsOf(x, cut)]) })),
    );
    return cuts.length > 0;
  },

  /** Within rows: the results side by side. Over all rows: those of the pieces, joined. */
  reduce({ attrs, inputs: [x], outputs: [y] }, splitter) {
    const pieces = x === undefined ? undefined : splitter.piecesOf(x);
    if (pieces === undefined || x === undefined || y === undefined) return false;
    const { kind, outer, length, inner } = attrs as ReduceAttrs;
    const count = x.spec.shape[0] ?? 1;
    if (outer % count === 0) {
      const results = pieces.map(({ rows, value }) =>
        splitter.emit(
          reduce,
          { kind, outer: (outer / count) * rows, length, inner, shape: [(outer / count) * rows * inner] },
          [value],
        ),
      );
      splitter.emit(concatOp, { axis: 0 }, results, viewOf(y, { shape: [outer * inner], dtype: 'f32' }));
      return true;
    }
    if (outer !== 1 || length % count !== 0) return false;
    const partial = (value: Value, rows: number, into?: Value): Value =>
      splitter.emit(
        reduce,
        { kind, outer, length: (length / count) * rows, inner, shape: y.spec.shape },
        [value],
        into,
      );
    join(
      splitter,
      { fn: kind === 'sum' ? 'add' : 'maximum', args: [0, 1] },
      pieces.map(
        ({ rows, value }) =>
          (into) =>
            partial(value, rows, into),
      ),
      y,
    );
    return true;
  },

  squaredNorm({ inputs: [x], outputs: [y] }, splitter) {
    const pieces = x === undefined ? undefined : splitter.piecesOf(x);
    if (pieces === undefined || y === undefined) return false;
    sumOfTerms(
      splitter,
      pieces.map(
        ({ value }) =>
          (into) =>
            splitter.emit(squaredNormOp, {}, [value], into),
      ),
      y,
    );
    return true;
  },

  adamw: splitAdamw,
  adamw8bit: splitAdamw8bit,
};

function sameRows({ spec }: Value, shape: Shape): boolean {
  return spec.shape.length === shape.length && spec.shape[0] === shape[0];
}

/**
 * Ids as rows of a piece, the nearest for those that point elsewhere. f32 holds them exactly: no vocabulary has 2²⁴
 * entries.
 */
function localIds(splitter: Splitter, places: Value, { start, rows }: RowPiece): Value {
  const near: ElementwiseInstruction[] = [
    constant(start),
    { fn: 'sub', args: [0, 1] },
    constant(0),
    { fn: 'maximum', args: [2, 3] },
    constant(rows - 1),
    { fn: 'minimum', args: [4, 5] },
  ];
  return splitter.emit(castOp, { dtype: 'i32' }, [arithmetic(splitter, near, [places])]);
}
