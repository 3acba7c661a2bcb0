import type { PartJson } from './partJson.js';
import { isPart, unusablePart } from './partJson.js';

/** `<extra_id_0>` and so on, which T5Tokenizer of transformers adds where a configuration names no tokens. */
export function t5Sentinels(config: PartJson): string[] {
  const count = sentinelCount(config);
  const given: unknown = config['additional_special_tokens'];
  const own = Array.isArray(given) ? given.filter((token) => String(token).includes('<extra_id_')).length : 0;
  if (own > 0 && count > 0 && own !== count)
    throw unusablePart('extra_ids in tokenizer_config.json', `the ${own} that additional_special_tokens has`, count);
  return Array.from({ length: count }, (_, at) => `<extra_id_${at}>`);
}

function sentinelCount(config: PartJson): number {
  const count = config['extra_ids'] ?? 100;
  if (typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 && count <= 10_000) return count;
  throw unusablePart('extra_ids in tokenizer_config.json', 'a whole number up to 10000', count);
}

/** T5Tokenizer: words, each with a mark before it, and EOS behind the text. */
export function t5Pipeline(json: PartJson, [, eos]: readonly [string, number]): PartJson {
  return {
    model: unigram(json, 2),
    normalizer: charsmapOf(json) ?? null,
    pre_tokenizer: markedWords('always'),
    decoder: metaspace('always'),
    post_processor: template([{ Sequence: { id: 'A', type_id: 0 } }, special('</s>')], { '</s>': eos }),
  };
}

/** AlbertTokenizer: quotes made plain, accents and capitals dropped unless kept, a mark before each word. */
export function albertPipeline(config: PartJson, json: PartJson, { cls, sep }: { cls: number; sep: number }): PartJson {
  const scheme = config['add_prefix_space'] === false ? 'never' : 'always';
  const charsmap = charsmapOf(json);
  return {
    model: unigram(json, 1),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        ...['``', "''"].map((quotes) => ({ type: 'Replace', pattern: { String: quotes }, content: '"' })),
        ...(config['keep_accents'] === true ? [] : [{ type: 'NFKD' }, { type: 'StripAccents' }]),
        ...(config['do_lower_case'] === false ? [] : [{ type: 'Lowercase' }]),
        ...(charsmap === undefined ? [] : [charsmap]),
      ],
    },
    pre_tokenizer: markedWords(scheme),
    decoder: metaspace(scheme),
    post_processor:
      json['post_processor'] ??
      template([special('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, special('[SEP]')], {
        '[CLS]': cls,
        '[SEP]': sep,
      }),
  };
}

function unigram(json: PartJson, unknownId: number): PartJson {
  const model = isPart(json['model']) ? json['model'] : {};
  return { type: 'Unigram', vocab: model['vocab'], unk_id: unknownId, byte_fallback: false };
}

/** SentencePiece's map, the one part of a normalizer that these classes take from tokenizer.json. */
function charsmapOf(json: PartJson): PartJson | undefined {
  const normalizer = json['normalizer'];
  if (!isPart(normalizer)) return undefined;
  const all = normalizer['type'] === 'Sequence' ? normalizer['normalizers'] : [normalizer];
  return Array.isArray(all) ? all.find((each) => isPart(each) && each['type'] === 'Precompiled') : undefined;
}

function metaspace(scheme: string): PartJson {
  return { type: 'Metaspace', replacement: '▁', prepend_scheme: scheme, split: true };
}

function markedWords(scheme: string): PartJson {
  return { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, metaspace(scheme)] };
}

const special = (id: string): PartJson => ({ SpecialToken: { id, type_id: 0 } });

function template(single: readonly PartJson[], ids: Readonly<Record<string, number>>): PartJson {
  const tokens = Object.entries(ids).map(([name, id]) => [name, { id: name, ids: [id], tokens: [name] }] as const);
  return { type: 'TemplateProcessing', single, pair: [], special_tokens: Object.fromEntries(tokens) };
}
