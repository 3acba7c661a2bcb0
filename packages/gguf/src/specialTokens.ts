import type { GgufValue } from './format.js';
import type { Json } from './json.js';
import { listOf, objectOf } from './json.js';

const kinds = ['bos', 'eos', 'unk', 'sep', 'pad', 'mask', 'eot', 'eom'] as const;
type Kind = (typeof kinds)[number];

const idKeys: Readonly<Record<Kind, string>> = {
  bos: 'bos_token_id',
  eos: 'eos_token_id',
  unk: 'unknown_token_id',
  sep: 'seperator_token_id',
  pad: 'padding_token_id',
  mask: 'mask_token_id',
  eot: 'eot_token_id',
  eom: 'eom_token_id',
};

export interface SpecialTokenFiles {
  readonly tokenizerJson?: Json | undefined;
  readonly tokenizerConfig?: Json | undefined;
  readonly config: Json;
  /** The token list's length; ids beyond it are left out. */
  readonly count?: number | undefined;
}

/**
 * Ids of the special tokens, and which of them are put around a text: by tokenizer_config.json, the template of
 * tokenizer.json's post-processor where both say something, and config.json for what these leave open. The rules are
 * those of gguf-py's SpecialVocab, as far as vocabularies of Llamas need them.
 */
export function specialTokens({
  tokenizerJson,
  tokenizerConfig,
  config,
  count = Infinity,
}: SpecialTokenFiles): (readonly [string, GgufValue])[] {
  const names = new Map<Kind, string>();
  for (const kind of kinds.slice(0, 6)) {
    const content = contentOf(tokenizerConfig?.[`${kind}_token`]);
    if (content !== undefined) names.set(kind, content);
  }
  const adds = new Map<string, boolean>();
  if (tokenizerJson !== undefined)
    fromPostProcessor(objectOf(tokenizerJson['post_processor']), {
      names,
      adds,
      configured: tokenizerConfig !== undefined,
    });
  const ids = new Map<Kind, number>();
  const set = (kind: Kind, id: unknown): void => {
    if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < count && !ids.has(kind)) ids.set(kind, id);
  };
  if (tokenizerConfig !== undefined) {
    for (const kind of kinds) {
      const add = tokenizerConfig[`add_${kind}_token`];
      if (typeof add === 'boolean' && !adds.has(kind)) adds.set(kind, add);
      const name = names.get(kind);
      if (name !== undefined)
        set(
          kind,
          listOf(tokenizerJson?.['added_tokens'])
            .map(objectOf)
            .find(({ content }) => content === name)?.['id'],
        );
    }
  }
  for (const kind of kinds.slice(0, 6)) set(kind, config[`${kind}_token_id`]);
  return [
    ...[...ids].map(([kind, value]) => [`tokenizer.ggml.${idKeys[kind]}`, { type: 'u32', value }] as const),
    ...[...adds]
      .filter(([kind]) => ['bos', 'eos', 'sep'].includes(kind))
      .map(([kind, value]) => [`tokenizer.ggml.add_${kind}_token`, { type: 'bool', value }] as const),
  ];
}

interface PostProcessor {
  readonly names: Map<Kind, string>;
  readonly adds: Map<string, boolean>;
  /** Whether there is a tokenizer_config.json, which the template then corrects. */
  readonly configured: boolean;
}

function fromPostProcessor(processor: Json, { names, adds, configured }: PostProcessor): void {
  const processors =
    processor['processors'] === undefined ? [processor] : listOf(processor['processors']).map(objectOf);
  for (const { type, single, pair } of processors) {
    if (type === 'ByteLevel') {
      if (!adds.has('bos')) adds.set('bos', false);
      if (!adds.has('eos')) adds.set('eos', false);
    }
    if (type !== 'TemplateProcessing') continue;
    const parts = listOf(single).map(objectOf);
    const special = (part: Json | undefined): string | undefined => contentOf(objectOf(part?.['SpecialToken'])['id']);
    const [first, last] = parts.length > 1 ? [special(parts[0]), special(parts.at(-1))] : [];
    if (first !== undefined) {
      if (!configured || !names.has('bos')) names.set('bos', first);
      adds.set('bos', first === names.get('bos'));
    }
    if (last !== undefined) {
      const named = names.get('eos');
      if (configured && named !== undefined && named !== last) names.set('eot', named);
      names.set('eos', last);
      adds.set('eos', true);
    }
    const pairs = listOf(pair).map(objectOf);
    if (pairs.length > 0) separator({ pair: pairs, first, last }, { names, adds, configured });
  }
}

/** Whether a token stands between two texts: `A sep B`. */
function separator(
  { pair, first, last }: { pair: readonly Json[]; first: string | undefined; last: string | undefined },
  { names, adds, configured }: PostProcessor,
): void {
  const special = (part: Json | undefined): string | undefined => contentOf(objectOf(part?.['SpecialToken'])['id']);
  const sequence = (part: Json | undefined): unknown => objectOf(part?.['Sequence'])['id'];
  const inner = pair.slice(
    first !== undefined && special(pair[0]) === first ? 1 : 0,
    last !== undefined && special(pair.at(-1)) === last ? -1 : undefined,
  );
  if (sequence(inner[0]) !== 'A' || sequence(inner.at(-1)) !== 'B') return;
  const between = inner.slice(1, -1);
  if (between.length === 0) return;
  const separates = (part: Json | undefined): boolean => {
    const name = special(part);
    return name !== undefined && (name === names.get('sep') || name === names.get('eos'));
  };
  const adds_ = (separates(between[0]) && last === undefined) || (between.length === 2 && separates(between[1]));
  adds.set('sep', adds_);
  const eos = names.get('eos');
  if (adds_ && !names.has('sep') && configured && eos !== undefined) names.set('sep', eos);
}

function contentOf(token: unknown): string | undefined {
  const content = typeof token === 'string' ? token : objectOf(token)['content'];
  return typeof content === 'string' && content !== '' ? content : undefined;
}
