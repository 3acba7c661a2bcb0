import type { PartJson } from './partJson.js';
import { entryOf, flagOf, isPart, listOf, typeOf, unusablePart } from './partJson.js';

/** What goes around a text's tokens, and how spans are trimmed. */
export interface PostProcessor {
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** Blanks at the ends of byte-level tokens are no part of their spans; a blank put before a text is none of it. */
  readonly trims: { readonly keepsPrefix: boolean } | undefined;
}

const none: PostProcessor = { before: [], after: [], trims: undefined };

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
      }),
      none,
    );
  },
  ByteLevel: (json, place) => ({ ...none, trims: trimsOf(json, place) }),
  BertProcessing: (json, place) => ({
    before: [idOf(json, 'cls', place)],
    after: [idOf(json, 'sep', place)],
    trims: undefined,
  }),
  RobertaProcessing: (json, place) => ({
    before: [idOf(json, 'cls', place)],
    after: [idOf(json, 'sep', place)],
    trims: trimsOf(json, place),
  }),
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
    return { before, after, trims: undefined };
  },
};

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
