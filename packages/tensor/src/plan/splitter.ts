import { LowrankError } from '@lowrank/errors';
import type { BackendSpec } from '../backend.js';
import { bytesPerElement } from '../dtype.js';
import { isLarge, rowPieces } from '../rowPieces.js';
import type { RowPiece } from '../rowPieces.js';
import { showShape, sizeOf } from '../shape.js';
import type { AnyOp } from '../op.js';
import type { Instruction } from './program.js';
import { Value, viewOf } from './program.js';

/** Some rows of a value that is not stored as a whole. */
export interface ValuePiece extends RowPiece {
  readonly value: Value;
}

/** Writes an op over large tensors as ops over their pieces; false where it cannot. */
export type SplitRule = (instruction: Instruction, splitter: Splitter) => boolean;

/** What a rule works with: the pieces of its operands, and a place for what it makes. */
export class Splitter {
  readonly instructions: Instruction[] = [];
  private readonly pieces = new Map<Value, readonly ValuePiece[]>();
  private scope = '';

  constructor(
    private readonly limits: BackendSpec,
    private readonly rules: Readonly<Record<string, SplitRule>>,
  ) {}

  take(instruction: Instruction): void {
    const { op, inputs, outputs, scope } = instruction;
    this.scope = scope;
    const touched =
      inputs.some((input) => this.piecesOf(input) !== undefined) ||
      outputs.some((output) => this.cuts(output) !== undefined);
    const done = touched && this.rules[op.name]?.(instruction, this) === true;
    if (done) return;
    if (inputs.some((input) => this.piecesOf(input) !== undefined))
      throw this.refused(`${op.name}${scope === '' ? '' : ` in ${scope}`}`, inputs);
    this.instructions.push({ ...instruction, inputs: inputs.map((input) => this.within(input)) });
  }

  /** Adds an instruction; its first output is `output`, or a new value. */
  emit(op: AnyOp, attrs: object, inputs: readonly Value[], output?: Value): Value {
    const [spec] = op.infer(
      inputs.map((input) => input.spec),
      attrs,
    );
    const made = output ?? new Value(spec ?? { shape: [], dtype: 'f32' });
    this.instructions.push({ op, attrs, inputs: [...inputs], outputs: [made], scope: this.scope });
    return made;
  }

  emitAll(op: AnyOp, attrs: object, inputs: readonly Value[], outputs: readonly Value[]): void {
    this.instructions.push({ op, attrs, inputs: [...inputs], outputs: [...outputs], scope: this.scope });
  }

  /** The pieces of a value that is stored in several, else undefined. */
  piecesOf(value: Value): readonly ValuePiece[] | undefined {
    const known = this.pieces.get(value);
    if (known !== undefined) return known;
    const { root } = value;
    const stored = this.pieces.get(root) ?? this.storedPieces(root);
    if (stored === undefined) return undefined;
    const rowBytes = rowElements(root) * bytesPerElement(root.spec.dtype);
    const start = value.place / rowBytes;
    const [count = 1, ...rest] = value.spec.shape;
    const end = start + sizeOf(value.spec.shape) / rowElements(root);
    // One piece holds it: an ordinary view of that piece.
    if (stored.some((piece) => piece.start <= start && end <= piece.start + piece.rows)) return undefined;
    if (sizeOf(rest) !== rowElements(root)) throw this.refused('a view', [root]);
    const own = stored.flatMap((piece): ValuePiece[] => {
      const [from, to] = [Math.max(piece.start, start), Math.min(piece.start + piece.rows, start + count)];
      if (from >= to) return [];
      return [
        {
          start: from - start,
          rows: to - from,
          value: viewOf(
            piece.value,
            { shape: [to - from, ...rest], dtype: value.spec.dtype },
            (from - piece.start) * rowBytes,
          ),
        },
      ];
    });
    this.pieces.set(value, own);
    return own;
  }

  /** Where a value that an op writes is cut: where it is too large, else undefined. */
  cuts({ base, spec }: Value): readonly RowPiece[] | undefined {
    return base === undefined && isLarge(spec, this.limits) ? rowPieces(spec, this.limits) : undefined;
  }

  /** Declares the pieces in which an op's result lies. */
  split(output: Value, pieces: readonly ValuePiece[]): void {
    this.pieces.set(output, pieces);
  }

  /** Those rows of a value, whether it is cut or not. */
  rowsOf(value: Value, { start, rows }: RowPiece): Value {
    const shape = [rows, ...value.spec.shape.slice(1)];
    const rowBytes = rowElements(value) * bytesPerElement(value.spec.dtype);
    const pieces = this.piecesOf(value);
    if (pieces === undefined) return viewOf(this.within(value), { shape, dtype: value.spec.dtype }, start * rowBytes);
    const home = pieces.find((piece) => piece.start <= start && start + rows <= piece.start + piece.rows);
    if (home === undefined) throw this.refused('rows that lie in two pieces', [value]);
    return home.start === start && home.rows === rows
      ? home.value
      : viewOf(home.value, { shape, dtype: value.spec.dtype }, (start - home.start) * rowBytes);
  }

  /** An assignment as one for each piece. */
  effects(target: Value, value: Value): { target: Value; value: Value }[] {
    const cuts = this.piecesOf(value) ?? this.piecesOf(target);
    if (cuts === undefined) return [{ target: this.within(target), value: this.within(value) }];
    return cuts.map((cut) => ({ target: this.rowsOf(target, cut), value: this.rowsOf(value, cut) }));
  }

  /** A value that must be in one piece. */
  whole(value: Value, what: string): Value {
    if (this.piecesOf(value) !== undefined) throw this.refused(what, [value]);
    return this.within(value);
  }

  /** A view of a cut value that lies within one piece, as a view of that piece. */
  private within(value: Value): Value {
    const { root } = value;
    const stored = this.pieces.get(root) ?? this.storedPieces(root);
    if (stored === undefined) return value;
    const rowBytes = rowElements(root) * bytesPerElement(root.spec.dtype);
    const end = value.place + sizeOf(value.spec.shape) * bytesPerElement(value.spec.dtype);
    const home = stored.find(
      (piece) => piece.start * rowBytes <= value.place && end <= (piece.start + piece.rows) * rowBytes,
    );
    return home === undefined ? value : viewOf(home.value, value.spec, value.place - home.start * rowBytes);
  }

  /** The buffers of a large persistent tensor. */
  private storedPieces(root: Value): readonly ValuePiece[] | undefined {
    if (root.leaf?.kind !== 'source' || !('piecesOn' in root.leaf)) return undefined;
    const cuts = rowPieces(root.spec, this.limits);
    const pieces = root.leaf.piecesOn(this.limits)?.map((leaf, at) => ({
      start: cuts?.[at]?.start ?? 0,
      rows: leaf.spec.shape[0] ?? 1,
      value: new Value(leaf.spec, leaf),
    }));
    if (pieces !== undefined) this.pieces.set(root, pieces);
    return pieces;
  }

  private refused(what: string, values: readonly Value[]): LowrankError {
    const [largest] = [...values].sort((a, b) => b.bytes - a.bytes);
    return new LowrankError({
      code: 'tensor.binding',
      what,
      expected:
        `operands of at most ${this.limits.maxBindingBytes} bytes, the device's limit for one binding (by ` +
        `rows, larger ones are taken by ${Object.keys(this.rules).join(', ')})`,
      got:
        largest === undefined
          ? 'a larger one'
          : `${largest.spec.dtype}${showShape(largest.spec.shape)} of ${largest.bytes} bytes`,
      remedy: 'Use a device with a higher limit.',
    });
  }
}

function rowElements({ spec }: Value): number {
  return sizeOf(spec.shape.slice(1));
}
