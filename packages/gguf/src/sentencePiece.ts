import { LowrankError } from '@lowrank/errors';

/** A piece of a SentencePiece vocabulary. */
export interface Piece {
  readonly text: string;
  readonly score: number;
  /** NORMAL 1, UNKNOWN 2, CONTROL 3, USER_DEFINED 4, UNUSED 5, BYTE 6 */
  readonly type: number;
}

/**
 * The pieces of a tokenizer.model: field 1 of the protocol buffer ModelProto, each with text (1), score (2) and type
 * (3); everything else is passed over
 * (https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto).
 *
 * @throws LowrankError `gguf.vocabulary`
 */
export function readPieces(bytes: Uint8Array): Piece[] {
  const pieces: Piece[] = [];
  for (const { number, value } of fieldsOf(bytes)) {
    if (number !== 1 || !(value instanceof Uint8Array)) continue;
    let piece: Piece = { text: '', score: 0, type: 1 };
    for (const field of fieldsOf(value)) {
      if (field.number === 1 && field.value instanceof Uint8Array)
        piece = { ...piece, text: new TextDecoder().decode(field.value) };
      else if (field.number === 2 && field.value instanceof Uint8Array && field.value.length === 4)
        piece = { ...piece, score: new DataView(field.value.slice().buffer).getFloat32(0, true) };
      else if (field.number === 2) throw damaged();
      else if (field.number === 3 && typeof field.value === 'number') piece = { ...piece, type: field.value };
    }
    pieces.push(piece);
  }
  if (pieces.length === 0) throw damaged();
  return pieces;
}

interface Field {
  readonly number: number;
  /** A varint's number, or the bytes of anything else. */
  readonly value: number | Uint8Array;
}

function* fieldsOf(bytes: Uint8Array): Generator<Field, void, undefined> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 2 ** 63) throw damaged();
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
  };
  const take = (count: number): Uint8Array => {
    if (at + count > bytes.length) throw damaged();
    at += count;
    return bytes.subarray(at - count, at);
  };
  while (at < bytes.length) {
    const tag = varint();
    const wire = tag % 8;
    const number = Math.floor(tag / 8);
    if (wire === 0) yield { number, value: varint() };
    else if (wire === 1) yield { number, value: take(8) };
    else if (wire === 2) yield { number, value: take(varint()) };
    else if (wire === 5) yield { number, value: take(4) };
    else throw damaged();
  }
}

function damaged(): LowrankError {
  return new LowrankError({
    code: 'gguf.vocabulary',
    what: 'tokenizer.model',
    expected: 'a SentencePiece model',
    got: 'other bytes',
    remedy: 'Download the file again.',
  });
}
