import { bpeModel } from './bpe.js';
import type { PartJson } from './partJson.js';
import { countOf, flagOf, isPart, listOf, textOf, typeOf, unusablePart } from './partJson.js';
import type { TokenModel } from './pieceTokens.js';
import { unigramModel } from './unigram.js';
import { wordPiece } from './wordPiece.js';

/** The `model` of a tokenizer.json. A `type` that is missing is told by the other keys, as in the Rust library. */
export function readModel(json: unknown, place = 'model'): TokenModel {
  if (!isPart(json) || json['vocab'] === undefined || json['vocab'] === null)
    throw unusablePart(place, 'a model with its vocabulary', 'no such object');
  const type = json['type'] ?? (json['merges'] === undefined ? 'WordPiece' : 'BPE');
  if (type === 'BPE') return bpe(json, place);
  if (type === 'Unigram') return unigram(json, place);
  if (type === 'WordPiece') {
    const unknown = textOf(json, 'unk_token', place, '[UNK]');
    const prefix = textOf(json, 'continuing_subword_prefix', place, '##');
    const longest = countOf(json, 'max_input_chars_per_word', place, 100);
    return wordPiece(vocabularyOf(json, place), { unknown, prefix, longest });
  }
  if (type === 'WordLevel') return wordLevel(vocabularyOf(json, place), textOf(json, 'unk_token', place, '<unk>'));
  throw unusablePart(place, 'a model of type BPE, Unigram, WordPiece or WordLevel', typeOf(json));
}

function bpe(json: PartJson, place: string): TokenModel {
  if (json['dropout'] !== null && json['dropout'] !== undefined && json['dropout'] !== 0)
    throw unusablePart(`dropout in ${place}`, 'null: tokens must not depend on chance', json['dropout']);
  const optional = (key: string): string | undefined =>
    json[key] === null || json[key] === undefined ? undefined : textOf(json, key, place);
  const vocabulary = vocabularyOf(json, place);
  return bpeModel({
    vocabulary,
    merges: listOf(json, 'merges', place).map((merge) => mergeOf(merge, vocabulary, place)),
    unknown: optional('unk_token'),
    prefix: optional('continuing_subword_prefix') ?? '',
    suffix: optional('end_of_word_suffix') ?? '',
    fusesUnknown: flagOf(json, 'fuse_unk', place, false),
    fallsBackToBytes: flagOf(json, 'byte_fallback', place, false),
    ignoresMerges: flagOf(json, 'ignore_merges', place, false),
    place,
  });
}

/** Merges of runs of blanks have no more; trying every one of a hundred thousand would not end. */
const mostBlanks = 200;

/** `"a b"`, or `["a", "b"]` where tokens may hold blanks. */
function mergeOf(merge: unknown, vocabulary: ReadonlyMap<string, number>, place: string): readonly [string, string] {
  if (typeof merge === 'string') {
    const parts = merge.split(' ');
    if (parts.length === 2) return [parts[0] ?? '', parts[1] ?? ''];
    // Copies in which no-break spaces have become plain ones hold blanks within tokens: the vocabulary tells where.
    const at = parts.findIndex(
      (_, cut) =>
        cut > 0 &&
        parts.length <= mostBlanks &&
        [parts.slice(0, cut), parts.slice(cut)].every((side) => vocabulary.has(side.join(' '))),
    );
    if (at > 0) return [parts.slice(0, at).join(' '), parts.slice(at).join(' ')];
  }
  if (Array.isArray(merge) && merge.length === 2) {
    const [left, right] = merge as unknown[];
    if (typeof left === 'string' && typeof right === 'string') return [left, right];
  }
  throw unusablePart(`merges in ${place}`, '"a b" or ["a", "b"]', merge);
}

function unigram(json: PartJson, place: string): TokenModel {
  const pieces = listOf(json, 'vocab', place).map((entry): readonly [string, number] => {
    if (Array.isArray(entry) && typeof entry[0] === 'string' && typeof entry[1] === 'number')
      return [entry[0], entry[1]];
    throw unusablePart(`vocab in ${place}`, 'a list of [token, score]', entry);
  });
  const unknownId =
    json['unk_id'] === null || json['unk_id'] === undefined ? undefined : countOf(json, 'unk_id', place);
  if (pieces.length === 0 || (unknownId !== undefined && unknownId >= pieces.length))
    throw unusablePart(`unk_id in ${place}`, `an id below the ${pieces.length} of the vocabulary`, unknownId);
  return unigramModel({ pieces, unknownId, fallsBackToBytes: flagOf(json, 'byte_fallback', place, false), place });
}

function wordLevel(idOf: ReadonlyMap<string, number>, unknown: string): TokenModel {
  return {
    type: 'WordLevel',
    idOf,
    tokenize(piece) {
      const id = idOf.get(piece) ?? idOf.get(unknown);
      if (id === undefined) throw unusablePart('vocab in model', `an id for the unknown token ${unknown}`, 'none');
      return { ids: [id], ends: [piece.length] };
    },
  };
}

function vocabularyOf(json: PartJson, place: string): Map<string, number> {
  const vocabulary = json['vocab'];
  if (!isPart(vocabulary)) throw unusablePart(`vocab in ${place}`, 'an object of ids by token', typeof vocabulary);
  const idOf = new Map<string, number>();
  for (const token of Object.keys(vocabulary)) {
    const id = vocabulary[token];
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= largestId)
      throw unusablePart(
        `the id of ${JSON.stringify(token)} in ${place}`,
        `a whole number below ${largestId.toLocaleString('en')}`,
        id,
      );
    idOf.set(token, id);
  }
  return idOf;
}

/** Ids are kept in arrays by id; no vocabulary of text is near this. */
const largestId = 16_777_216;
