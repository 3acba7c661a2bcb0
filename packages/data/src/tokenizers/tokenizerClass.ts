import type { PartJson } from './partJson.js';
import { entryOf, isPart } from './partJson.js';
import { albertPipeline, t5Pipeline, t5Sentinels } from './unigramClasses.js';

/** What a class of transformers makes of a tokenizer.json. */
export interface ClassPipeline {
  readonly json: PartJson;
  /** Special tokens that the class names where the configuration is silent. */
  readonly defaults: PartJson;
  /**
   * True where the class takes vocabulary and merges alone from tokenizer.json: then its added tokens count only where
   * tokenizer_config.json lists none.
   */
  readonly isRebuilt: boolean;
  /** Named special tokens are added once more, without their flags: Qwen2Tokenizer. */
  readonly resetsSpecialTokens: boolean;
  readonly warnings: readonly string[];
}

interface ClassSettings {
  readonly model: 'BPE' | 'WordPiece' | 'Unigram';
  readonly defaults: Readonly<Record<string, string>>;
  /** Further ones, by other settings. */
  more?(config: PartJson): PartJson;
  /** What takes the place of the file's parts; the post-processor stays unless it is said here. */
  build(config: PartJson, json: PartJson): PartJson;
}

/**
 * The classes of transformers 5 that build normalizer, splitter and decoder themselves and take only the vocabulary,
 * merges and post-processor from tokenizer.json; every other name means the file as it is.
 *
 * @param modelType `model_type` of config.json, which decides where tokenizer_config.json names no class
 */
export function classPipeline(
  json: PartJson,
  config: PartJson,
  { modelType, modelClass }: { readonly modelType?: string | undefined; readonly modelClass?: string | undefined },
): ClassPipeline {
  const asItIs = { json, defaults: {}, isRebuilt: false, resetsSpecialTokens: false, warnings: [] };
  const name = chosenClass(json, config['tokenizer_class'] ?? modelClass, modelType);
  if (name === undefined) return asItIs;
  const settings = entryOf(classes, name);
  if (settings === undefined) {
    if (!rebuilt.has(name)) return asItIs;
    const warning =
      `tokenizer_config.json: ${name} builds its pipeline anew in transformers; ` +
      'here tokenizer.json is followed as it is.';
    return { ...asItIs, warnings: [warning] };
  }
  const model = json['model'];
  if (!isPart(model) || (model['type'] ?? settings.model) !== settings.model) return asItIs;
  return {
    json: { ...json, normalizer: null, pre_tokenizer: null, ...settings.build(config, json) },
    defaults: { ...settings.defaults, ...settings.more?.(config) },
    isRebuilt: true,
    resetsSpecialTokens: name === 'Qwen2Tokenizer',
    warnings: [],
  };
}

/** AutoTokenizer's choice; undefined stands for tokenizer.json as it is. */
function chosenClass(json: PartJson, given: unknown, modelType: string | undefined): string | undefined {
  const declared = typeof given === 'string' ? given.replace(/Fast$/, '') : undefined;
  const registered = modelType === undefined ? undefined : entryOf(ofModel, modelType);
  if (declared === undefined) return registered === 'file' ? undefined : registered;
  const { vocab: _, merges: __, ...model } = isPart(json['model']) ? json['model'] : {};
  const isByteLevel = JSON.stringify({ ...json, model }).includes('"ByteLevel"');
  if (declared === 'LlamaTokenizer' && isByteLevel && !misnamed.has(modelType ?? '')) return undefined;
  if (registered === undefined || registered === declared) return declared;
  if (registered === 'file') return undefined;
  return misnamed.has(modelType ?? '') ? registered : declared;
}

/** Families whose tokenizer class transformers knows; `file` stands for tokenizer.json as it is. */
const ofModel: Readonly<Record<string, string>> = {
  bert: 'BertTokenizer',
  distilbert: 'BertTokenizer',
  gemma: 'GemmaTokenizer',
  gemma2: 'GemmaTokenizer',
  gemma3: 'GemmaTokenizer',
  gemma3_text: 'GemmaTokenizer',
  gpt2: 'GPT2Tokenizer',
  gpt_neox: 'GPTNeoXTokenizer',
  granite: 'file',
  mistral: 'file',
  mixtral: 'file',
  olmo: 'GPTNeoXTokenizer',
  olmo2: 'file',
  olmo3: 'file',
  phi: 'GPT2Tokenizer',
  phi3: 'file',
  qwen2: 'Qwen2Tokenizer',
  qwen3: 'Qwen2Tokenizer',
  roberta: 'RobertaTokenizer',
  starcoder2: 'GPT2Tokenizer',
};
/** Families whose folders name a wrong class, so that transformers goes by the family. */
const misnamed = new Set(['phi3', 'qwen2', 'modernbert', 'nemotron', 'internlm2', 'jamba']);
/** Classes that build their pipeline anew in transformers, and are not known here. */
const rebuilt = new Set([
  'BartTokenizer',
  'BarthezTokenizer',
  'BigBirdTokenizer',
  'BlenderbotTokenizer',
  'CamembertTokenizer',
  'CLIPTokenizer',
  'CodeLlamaTokenizer',
  'CohereTokenizer',
  'DebertaTokenizer',
  'DebertaV2Tokenizer',
  'NllbTokenizer',
  'OpenAIGPTTokenizer',
  'PegasusTokenizer',
  'Qwen3_5Tokenizer',
  'XGLMTokenizer',
  'XLMRobertaTokenizer',
  'XLNetTokenizer',
]);

const blank = { type: 'Replace', pattern: { String: '▁' }, content: ' ' };
const byteLevel = (prefixes: boolean, splits = true): PartJson => ({
  type: 'ByteLevel',
  add_prefix_space: prefixes,
  trim_offsets: true,
  use_regex: splits,
});
const bpe = (json: PartJson, settings: PartJson): PartJson => {
  const { vocab, merges } = isPart(json['model']) ? json['model'] : {};
  return { type: 'BPE', vocab, merges, unk_token: null, ...settings };
};
const byteBpe = (json: PartJson): PartJson => bpe(json, { fuse_unk: false, byte_fallback: false });
const prefixes = (config: PartJson, fallback = false): boolean =>
  typeof config['add_prefix_space'] === 'boolean' ? config['add_prefix_space'] : fallback;
const endOfText = '<|endoftext|>';
const qwenWords =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| " +
  '?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

const classes: Readonly<Record<string, ClassSettings>> = {
  LlamaTokenizer: {
    model: 'BPE',
    defaults: { unk_token: '<unk>', bos_token: '<s>', eos_token: '</s>' },
    build(config, json) {
      const hasPrefix = prefixes(config, true);
      const scheme = config['legacy'] === true ? 'always' : 'first';
      return {
        model: bpe(json, { fuse_unk: true, byte_fallback: true }),
        pre_tokenizer: {
          type: 'Metaspace',
          replacement: '▁',
          prepend_scheme: hasPrefix ? scheme : 'never',
          split: false,
        },
        decoder: {
          type: 'Sequence',
          decoders: [
            blank,
            { type: 'ByteFallback' },
            { type: 'Fuse' },
            ...(hasPrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
          ],
        },
      };
    },
  },
  GemmaTokenizer: {
    model: 'BPE',
    defaults: {
      unk_token: '<unk>',
      bos_token: '<bos>',
      eos_token: '<eos>',
      pad_token: '<pad>',
      mask_token: '<mask>',
    },
    build: (config, json) => ({
      model: bpe(json, {
        fuse_unk: true,
        byte_fallback: true,
        unk_token: tokenText(config['unk_token']) ?? '<unk>',
      }),
      normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false },
      decoder: { type: 'Sequence', decoders: [blank, { type: 'ByteFallback' }, { type: 'Fuse' }] },
    }),
  },
  GPT2Tokenizer: {
    model: 'BPE',
    defaults: { unk_token: endOfText, bos_token: endOfText, eos_token: endOfText },
    build: (config, json) => ({
      model: byteBpe(json),
      pre_tokenizer: byteLevel(prefixes(config)),
      decoder: byteLevel(true),
    }),
  },
  GPTNeoXTokenizer: {
    model: 'BPE',
    defaults: { unk_token: endOfText, bos_token: endOfText, eos_token: endOfText, pad_token: '<|padding|>' },
    build: (config, json) => ({
      model: byteBpe(json),
      normalizer: { type: 'NFC' },
      pre_tokenizer: byteLevel(prefixes(config)),
      decoder: byteLevel(true),
      // Built anew too, and without BOS: `add_bos_token` is dropped where there is a tokenizer.json.
      post_processor: null,
    }),
  },
  Qwen2Tokenizer: {
    model: 'BPE',
    defaults: { unk_token: endOfText, eos_token: endOfText, pad_token: endOfText },
    build: (config, json) => ({
      model: byteBpe(json),
      normalizer: { type: 'NFC' },
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Split', pattern: { Regex: qwenWords }, behavior: 'Isolated', invert: false },
          byteLevel(prefixes(config), false),
        ],
      },
      decoder: byteLevel(true),
    }),
  },
  RobertaTokenizer: {
    model: 'BPE',
    defaults: {
      bos_token: '<s>',
      eos_token: '</s>',
      sep_token: '</s>',
      cls_token: '<s>',
      unk_token: '<unk>',
      pad_token: '<pad>',
      mask_token: '<mask>',
    },
    build: (config, json) => ({
      model: byteBpe(json),
      pre_tokenizer: byteLevel(prefixes(config)),
      decoder: byteLevel(true),
      post_processor: {
        type: 'RobertaProcessing',
        sep: pairOf(config['sep_token'], '</s>', json),
        cls: pairOf(config['cls_token'], '<s>', json),
        trim_offsets: config['trim_offsets'] !== false,
        add_prefix_space: prefixes(config),
      },
    }),
  },
  BertTokenizer: {
    model: 'WordPiece',
    defaults: {
      unk_token: '[UNK]',
      sep_token: '[SEP]',
      pad_token: '[PAD]',
      cls_token: '[CLS]',
      mask_token: '[MASK]',
    },
    build(config, json) {
      const [sep, cls] = [pairOf(config['sep_token'], '[SEP]', json), pairOf(config['cls_token'], '[CLS]', json)];
      const { vocab } = isPart(json['model']) ? json['model'] : {};
      return {
        model: { type: 'WordPiece', vocab, unk_token: tokenText(config['unk_token']) ?? '[UNK]' },
        normalizer: {
          type: 'BertNormalizer',
          clean_text: true,
          handle_chinese_chars: config['tokenize_chinese_chars'] !== false,
          strip_accents: typeof config['strip_accents'] === 'boolean' ? config['strip_accents'] : null,
          lowercase: config['do_lower_case'] !== false,
        },
        pre_tokenizer: { type: 'BertPreTokenizer' },
        decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
        post_processor: { type: 'BertProcessing', sep, cls },
      };
    },
  },
  T5Tokenizer: {
    model: 'Unigram',
    defaults: { eos_token: '</s>', unk_token: '<unk>', pad_token: '<pad>' },
    more: (config) => ({ additional_special_tokens: t5Sentinels(config) }),
    build: (config, json) => t5Pipeline(json, pairOf('</s>', '</s>', json)),
  },
  AlbertTokenizer: {
    model: 'Unigram',
    defaults: {
      bos_token: '[CLS]',
      eos_token: '[SEP]',
      unk_token: '<unk>',
      sep_token: '[SEP]',
      pad_token: '<pad>',
      cls_token: '[CLS]',
      mask_token: '[MASK]',
    },
    build: (config, json) =>
      albertPipeline(config, json, {
        cls: pairOf(config['cls_token'], '[CLS]', json)[1],
        sep: pairOf(config['sep_token'], '[SEP]', json)[1],
      }),
  },
};

/** The text of a token as configurations write it: a string, or an object with its content. */
export function tokenText(token: unknown): string | undefined {
  if (typeof token === 'string') return token;
  return isPart(token) && typeof token['content'] === 'string' ? token['content'] : undefined;
}

function pairOf(given: unknown, fallback: string, json: PartJson): [string, number] {
  const token = tokenText(given) ?? fallback;
  const vocab: unknown = isPart(json['model']) ? json['model']['vocab'] : undefined;
  const vocabulary: PartJson = isPart(vocab) ? vocab : {};
  // A list of tokens with their scores.
  const place = Array.isArray(vocab) ? vocab.findIndex((entry) => Array.isArray(entry) && entry[0] === token) : -1;
  if (place >= 0) return [token, place];
  const added = Array.isArray(json['added_tokens']) ? (json['added_tokens'] as unknown[]) : [];
  const found = added.find((each) => isPart(each) && each['content'] === token);
  return [token, Number(vocabulary[token] ?? (isPart(found) ? found['id'] : undefined) ?? -1)];
}
