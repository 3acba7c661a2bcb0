import type { PartJson } from './partJson.js';
import { entryOf, flagOf, isPart, listOf, typeOf, unusablePart } from './partJson.js';

/** What goes around a text's tokens, and how spans are trimmed. */
export interface PostProcessor {
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** Blanks at the ends of byte-level tokens are no part of their spans; a blank put before a text is none of it. */
  readonly trims: { readonly keepsPrefix: boolean } | undefined;
  /** How two texts are put together; undefined where nothing is said of them: one after the other. */
  readonly pair: readonly PairPart[] | undefined;
}

/** Special tokens, or one of the two texts, with the token type that they have. */
export interface PairPart {
  readonly ids: readonly number[] | 'A' | 'B';
  readonly type: number;
}

const none: PostProcessor = { before: [], after: [], trims: undefined, pair: undefined };

/** Texts A and B where a processor says nothing of pairs, as the library's default. */
export const plainPair: readonly PairPart[] = [
  { ids: 'A', type: 0 },
  { ids: 'B', type: 1 },
];

/** The `post_processor` of a tokenizer.json, for single texts; null is none. */
export function readPostProcessor(json: unknown, place = 'post_processor'): PostProcessor {
  if (json === null || json === undefined) return none;
  const make = entryOf(processors, typeOf(json));
  if (make !== undefined && isPart(json)) return make(json, place);
  throw unusablePart(place, Object.keys(processors).join(', '), typeOf(json));
}

const processors: Readonly<Record<string, (json: PartJson, place: string) => PostProcessor>> = {
  Sequence(json, place) {
    const all = listOf(json, 'processors', place).map((each, at) => readPostProcessor(each, `${place}.${at}`));
    // Each one wraps what those before it made.
    return all.reduce(
      (inner, outer) => ({
        before: [...outer.before, ...inner.before],
        after: [...inner.after, ...outer.after],
        trims: outer.trims ?? inner.trims,
        pair: outer.pair ?? inner.pair,
      }),
      none,
    );
  },
  ByteLevel: (json, place) => ({ ...none, trims: trimsOf(json, place) }),
  BertProcessing(json, place) {
    const [cls, sep] = [[idOf(json, 'cls', place)], [idOf(json, 'sep', place)]];
    const first = [cls, 'A' as const, sep].map((ids) => ({ ids, type: 0 }));
    return {
      before: cls,
      after: sep,
      trims: undefined,
      pair: [...first, { ids: 'B', type: 1 }, { ids: sep, type: 1 }],
    };
  },
  RobertaProcessing(json, place) {
    const [cls, sep] = [[idOf(json, 'cls', place)], [idOf(json, 'sep', place)]];
    return {
      before: cls,
      after: sep,
      trims: trimsOf(json, place),
      pair: [cls, 'A' as const, sep, sep, 'B' as const, sep].map((ids) => ({ ids, type: 0 })),
    };
  },
  TemplateProcessing(json, place) {
    const ids = templateIds(json, place);
    const around: number[][] = [[]];
    for (const item of listOf(json, 'single', place)) {
      const token = isPart(item) && isPart(item['SpecialToken']) ? item['SpecialToken']['id'] : undefined;
      if (typeof token === 'string') around.at(-1)?.push(...(ids.get(token) ?? refuse(place, token)));
      else if (isPart(item) && isPart(item['Sequence']) && item['Sequence']['id'] === 'A') around.push([]);
      else throw unusablePart(`single in ${place}`, 'special tokens and the sequence A', item);
    }
    const [before, after] = around;
    if (before === undefined || after === undefined || around.length > 2)
      throw unusablePart(`single in ${place}`, 'the sequence A once', `${around.length - 1} times`);
    return { before, after, trims: undefined, pair: templatePair(json, ids, place) };
  },
};

/** The `pair` of a template; undefined where it has none. */
function templatePair(json: PartJson, ids: ReadonlyMap<string, number[]>, place: string): PostProcessor['pair'] {
  if (json['pair'] === undefined || json['pair'] === null) return undefined;
  const typeOf = (part: PartJson): number => (typeof part['type_id'] === 'number' ? part['type_id'] : 0);
  return listOf(json, 'pair', place).map((item): PairPart => {
    const special = isPart(item) ? item['SpecialToken'] : undefined;
    const text = isPart(item) ? item['Sequence'] : undefined;
    if (isPart(special) && typeof special['id'] === 'string')
      return { ids: ids.get(special['id']) ?? refuse(place, special['id']), type: typeOf(special) };
    if (isPart(text) && (text['id'] === 'A' || text['id'] === 'B')) return { ids: text['id'], type: typeOf(text) };
    throw unusablePart(`pair in ${place}`, 'special tokens and the sequences A and B', item);
  });
}

function refuse(place: string, token: string): never {
  throw unusablePart(`special_tokens in ${place}`, `the ids of ${token}`, 'none');
}

function templateIds(json: PartJson, place: string): Map<string, number[]> {
  const tokens = json['special_tokens'] ?? {};
  if (!isPart(tokens)) throw unusablePart(`special_tokens in ${place}`, 'an object', tokens);
  return new Map(
    Object.entries(tokens).map(([name, token]) => {
      const ids: unknown = isPart(token) ? token['ids'] : undefined;
      if (Array.isArray(ids) && ids.every((id): id is number => Number.isSafeInteger(id))) return [name, ids];
      throw unusablePart(`special_tokens in ${place}`, `ids of ${name}`, token);
    }),
  );
}

function trimsOf(json: PartJson, place: string): PostProcessor['trims'] {
  if (!flagOf(json, 'trim_offsets', place, true)) return undefined;
  return { keepsPrefix: flagOf(json, 'add_prefix_space', place, true) };
}

/** `["[CLS]", 101]` */
function idOf(json: PartJson, key: string, place: string): number {
  const pair = json[key];
  if (Array.isArray(pair) && Number.isSafeInteger(pair[1])) return Number(pair[1]);
  throw unusablePart(`${key} in ${place}`, '["token", id]', pair);
}
