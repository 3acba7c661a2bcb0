import { adamwOp, segmentBlock } from '../ops/adamw.js';
import { adamw8bitOp, momentBlock } from '../ops/adamw8bit.js';
import { castOp } from '../ops/cast.js';
import type { ElementwiseAttrs, ElementwiseInstruction } from '../ops/elementwise.js';
import { elementwise } from '../ops/elementwise.js';
import type { MatmulAttrs } from '../ops/matmul.js';
import { matmulOp } from '../ops/matmul.js';
import { concatOp, sliceOp } from '../ops/movement.js';
import type { ReduceAttrs } from '../ops/reduce.js';
import { reduce } from '../ops/reduce.js';
import { gatherRows, scatterAddRows } from '../ops/rows.js';
import { squaredNormOp } from '../ops/squaredNorm.js';
import type { RowPiece } from '../rowPieces.js';
import type { Shape } from '../shape.js';
import { Value, viewOf } from './program.js';
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

  matmul(instruction, splitter) {
    const {
      attrs,
      inputs: [a, b],
      outputs: [y],
    } = instruction;
    const { encoding, lowRank, addend } = attrs as MatmulAttrs;
    if (
      a === undefined ||
      b === undefined ||
      y === undefined ||
      encoding !== undefined ||
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
  },

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
    sum(
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

  adamw({ attrs, inputs, outputs }, splitter) {
    const [p, g, m, v, table, ...numbers] = inputs;
    if (p === undefined || g === undefined || m === undefined || v === undefined || table === undefined) return false;
    return update(splitter, { outputs, cuts: splitter.piecesOf(p) }, (cut, results) => {
      const lines = blockRows(splitter, table, { cut, width: widthOf(p), block: segmentBlock });
      splitter.emitAll(
        adamwOp,
        attrs,
        [...[p, g, m, v].map((vector) => splitter.rowsOf(vector, cut)), lines, ...numbers],
        results,
      );
    });
  },

  adamw8bit({ attrs, inputs, outputs }, splitter) {
    const [p, g, m, v, scales, table, maps, ...numbers] = inputs;
    const [newP, newM, newV, newScales] = outputs;
    if (
      p === undefined ||
      g === undefined ||
      m === undefined ||
      v === undefined ||
      scales === undefined ||
      table === undefined ||
      maps === undefined ||
      newScales === undefined
    )
      return false;
    const pieces = splitter.piecesOf(p);
    // A block of 256 that two pieces shared would have two scales.
    if (pieces?.slice(1).some(({ start }) => (start * widthOf(p)) % momentBlock !== 0) === true) return false;
    const scalePieces: { start: number; rows: number; value: Value }[] = [];
    const done = update(
      splitter,
      { outputs: [newP, newM, newV].filter((output) => output !== undefined), cuts: pieces },
      (cut, results) => {
        const blocks = { cut, width: widthOf(p) };
        const own = blockRows(splitter, scales, { ...blocks, block: momentBlock });
        const newOwn = new Value(own.spec);
        scalePieces.push({
          start: (cut.start * widthOf(p)) / momentBlock,
          rows: own.spec.shape[0] ?? 1,
          value: newOwn,
        });
        const lines = blockRows(splitter, table, { ...blocks, block: segmentBlock });
        splitter.emitAll(
          adamw8bitOp,
          attrs,
          [...[p, g, m, v].map((vector) => splitter.rowsOf(vector, cut)), own, lines, maps, ...numbers],
          [...results, newOwn],
        );
      },
    );
    if (done) splitter.split(newScales, scalePieces);
    return done;
  },
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
    return sum(
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
  return sum(
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

type Term = (into?: Value) => Value;

/** The sum of what `terms` make, in order, as y: additions that the next pass takes into the products. */
function sum(splitter: Splitter, terms: readonly Term[], y: Value): Value {
  return join(splitter, { fn: 'add', args: [0, 1] }, terms, y);
}

function join(splitter: Splitter, formula: ElementwiseInstruction, terms: readonly Term[], y: Value): Value {
  return (
    terms.reduce((total: Value | undefined, term, at) => {
      if (total === undefined) return term(terms.length === 1 ? y : undefined);
      return arithmetic(splitter, [formula], [total, term()], at === terms.length - 1 ? y : undefined);
    }, undefined) ?? y
  );
}

/** Runs an in-place update piece by piece; `outputs` are of the vectors' shape. */
function update(
  splitter: Splitter,
  { outputs, cuts }: { outputs: readonly Value[]; cuts: readonly RowPiece[] | undefined },
  step: (cut: RowPiece, results: readonly Value[]) => void,
): boolean {
  if (cuts === undefined) return false;
  const made = outputs.map((): { start: number; rows: number; value: Value }[] => []);
  for (const { start, rows } of cuts) {
    const results = outputs.map(({ spec }, at) => {
      const value = new Value({ shape: [rows, ...spec.shape.slice(1)], dtype: spec.dtype });
      made[at]?.push({ start, rows, value });
      return value;
    });
    step({ start, rows }, results);
  }
  outputs.forEach((output, at) => splitter.split(output, made[at] ?? []));
  return true;
}

/** The lines of a table with one for each `block` elements, for some rows of a vector. */
function blockRows(
  splitter: Splitter,
  table: Value,
  { cut: { start, rows }, width, block }: { cut: RowPiece; width: number; block: number },
): Value {
  return splitter.rowsOf(table, { start: (start * width) / block, rows: Math.ceil((rows * width) / block) });
}

function widthOf({ spec }: Value): number {
  return spec.shape.slice(1).reduce((total, size) => total * size, 1);
}

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

function constant(value: number): ElementwiseInstruction {
  return { fn: 'constant', value };
}

function arithmetic(
  splitter: Splitter,
  program: readonly ElementwiseInstruction[],
  inputs: readonly Value[],
  output?: Value,
): Value {
  const largest = inputs.reduce(
    (one, other) => (other.bytes > one.bytes ? other : one),
    inputs[0] ?? new Value({ shape: [], dtype: 'f32' }),
  );
  return splitter.emit(elementwise, { program, shape: largest.spec.shape }, inputs, output);
}
