import { adamwOp, segmentBlock } from '../ops/adamw.js';
import { adamw8bitOp, momentBlock } from '../ops/adamw8bit.js';
import type { RowPiece } from '../rowPieces.js';
import { Value } from './program.js';
import type { Splitter, SplitRule } from './splitter.js';

/** Optimizer steps over vectors beyond one binding, piece by piece. */

export const splitAdamw: SplitRule = ({ attrs, inputs, outputs }, splitter) => {
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
};

export const splitAdamw8bit: SplitRule = ({ attrs, inputs, outputs }, splitter) => {
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
};

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
