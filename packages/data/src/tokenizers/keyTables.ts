/** What becomes of a key of a tokenizer's files. */
export interface KeyUse {
  readonly use: 'followed' | 'ignored' | 'refused';
  /** Of a followed key what it does, of an ignored one why numbers do not depend on it, of a refused one when. */
  readonly why: string;
}

const followed = (why: string): KeyUse => ({ use: 'followed', why });
const ignored = (why: string): KeyUse => ({ use: 'ignored', why });
const refused = (why: string): KeyUse => ({ use: 'refused', why });

const named = followed('names a special token; one that the vocabulary lacks is added, as in transformers');
const lengths = ignored('the maximum length of a row is a setting of the run');
const sides = ignored('rows keep their start, and padding carries no label');
const record = ignored('a record of how the file came to be');
const ofCall = ignored('a setting of calls that training does not make');

/** tokenizer_config.json. Other keys that end in `_token` are model-specific special tokens, and followed. */
export const tokenizerConfigKeys: Readonly<Record<string, KeyUse>> = {
  tokenizer_class: followed('classes of transformers that build their pipeline anew are built so here'),
  bos_token: named,
  eos_token: named,
  unk_token: named,
  sep_token: named,
  pad_token: named,
  cls_token: named,
  mask_token: named,
  additional_special_tokens: followed('special tokens, where extra_special_tokens has none'),
  extra_special_tokens: followed('special tokens: a list, or an object of named ones'),
  model_specific_special_tokens: followed('named special tokens'),
  added_tokens_decoder: followed('added tokens with their flags, in the order of their ids'),
  chat_template: followed('one template or named ones; files of their own come first'),
  clean_up_tokenization_spaces: followed('for models other than BPE, as in transformers 5'),
  clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output: followed('the same for BPE'),
  split_special_tokens: followed('special tokens in a text are not looked for'),
  add_prefix_space: followed('by the classes LlamaTokenizer, GPT2Tokenizer, Qwen2Tokenizer, GPTNeoXTokenizer'),
  legacy: followed('by LlamaTokenizer: a space before each piece of text, not before the first alone'),
  do_lower_case: followed('by BertTokenizer'),
  tokenize_chinese_chars: followed('by BertTokenizer'),
  strip_accents: followed('by BertTokenizer'),
  trim_offsets: followed('by GPTNeoXTokenizer and RobertaTokenizer'),
  add_bos_token: ignored('the post-processor of tokenizer.json decides, as in transformers 5'),
  add_eos_token: ignored('the post-processor of tokenizer.json decides, as in transformers 5'),
  model_max_length: lengths,
  max_len: lengths,
  max_length: lengths,
  max_seq_length: lengths,
  padding_side: sides,
  truncation_side: sides,
  truncation: sides,
  truncation_strategy: sides,
  stride: sides,
  padding: sides,
  pad_to_multiple_of: sides,
  pad_token_type_id: sides,
  pad_token_id: ignored('the id of pad_token is the tokenizer’s'),
  bos_token_id: ignored('the id of bos_token is the tokenizer’s'),
  eos_token_id: ignored('the id of eos_token is the tokenizer’s'),
  unk_token_id: ignored('the id of unk_token is the tokenizer’s'),
  model_input_names: ofCall,
  return_token_type_ids: ofCall,
  chat_control_tokens: ofCall,
  response_template: ofCall,
  response_schema: ofCall,
  use_default_system_prompt: ignored('transformers 5 has no default prompts'),
  spaces_between_special_tokens: ignored('fast tokenizers have none'),
  sp_model_kwargs: ignored('settings of SentencePiece, which fast tokenizers do not use'),
  add_dummy_prefix_space: ignored('a setting of SentencePiece, which fast tokenizers do not use'),
  do_basic_tokenize: ignored('fast tokenizers have one way'),
  never_split: ignored('fast tokenizers have added tokens for that'),
  errors: ignored('texts are decoded with U+FFFD for what is no UTF-8'),
  processor_class: record,
  tokenizer_file: record,
  special_tokens_map_file: record,
  name_or_path: record,
  auto_map: refused('code of a folder never runs; tokenizer.json is used, with a warning'),
  use_fast: record,
  from_slow: record,
  backend: record,
  is_local: record,
  local_files_only: record,
  files_loaded: record,
  verbose: record,
  init_inputs: record,
  transformers_version: record,
  device_map: record,
  fix_mistral_regex: refused('true: transformers then writes another splitter into tokenizer.json'),
};

/** special_tokens_map.json; read, as in transformers, where tokenizer_config.json has no added_tokens_decoder. */
export const specialTokensMapKeys: Readonly<Record<string, KeyUse>> = {
  bos_token: named,
  eos_token: named,
  unk_token: named,
  sep_token: named,
  pad_token: named,
  cls_token: named,
  mask_token: named,
  additional_special_tokens: followed('special tokens, where extra_special_tokens has none'),
  extra_special_tokens: followed('special tokens: a list, or an object of named ones'),
};

/**
 * added_tokens.json has no keys but tokens.
 *
 * @public for the table of docs/folders.md
 */
export const addedTokensKeys: Readonly<Record<string, KeyUse>> = {
  'any token': followed('added in the order of the ids, where tokenizer_config.json has no added_tokens_decoder'),
};

const part = followed('what it does in the Rust library');
const offsetsOnly = followed('changes places of tokens, never ids');

/** tokenizer.json: its own keys, and by `section.Type` those of the parts. */
export const tokenizerJsonKeys: Readonly<Record<string, Readonly<Record<string, KeyUse>>>> = {
  '': {
    version: record,
    truncation: ignored('transformers switches it off for calls that do not ask for it'),
    padding: ignored('transformers switches it off for calls that do not ask for it'),
    added_tokens: part,
    normalizer: part,
    pre_tokenizer: part,
    post_processor: part,
    decoder: part,
    model: part,
  },
  added_tokens: {
    id: ignored('ids are given in the order of the file, as in the Rust library; another one is warned of'),
    content: part,
    single_word: part,
    lstrip: part,
    rstrip: part,
    normalized: part,
    special: part,
  },
  'model.BPE': {
    vocab: part,
    merges: part,
    unk_token: part,
    continuing_subword_prefix: part,
    end_of_word_suffix: part,
    fuse_unk: part,
    byte_fallback: part,
    ignore_merges: part,
    dropout: refused('any but null and 0: tokens would depend on chance'),
  },
  'model.Unigram': { vocab: part, unk_id: part, byte_fallback: part },
  'model.WordPiece': { vocab: part, unk_token: part, continuing_subword_prefix: part, max_input_chars_per_word: part },
  'model.WordLevel': { vocab: part, unk_token: part },
  'normalizer.Sequence': { normalizers: part },
  'normalizer.BertNormalizer': { clean_text: part, handle_chinese_chars: part, strip_accents: part, lowercase: part },
  'normalizer.NFC': {},
  'normalizer.NFD': {},
  'normalizer.NFKC': {},
  'normalizer.NFKD': {},
  'normalizer.Lowercase': {},
  'normalizer.StripAccents': {},
  'normalizer.Nmt': {},
  'normalizer.ByteLevel': {},
  'normalizer.Strip': { strip_left: part, strip_right: part },
  'normalizer.Prepend': { prepend: part },
  'normalizer.Replace': { pattern: part, content: part },
  'normalizer.Precompiled': { precompiled_charsmap: part },
  'pre_tokenizer.Sequence': { pretokenizers: part },
  'pre_tokenizer.BertPreTokenizer': {},
  'pre_tokenizer.ByteLevel': { add_prefix_space: part, use_regex: part, trim_offsets: offsetsOnly },
  'pre_tokenizer.Metaspace': {
    replacement: part,
    prepend_scheme: part,
    split: part,
    add_prefix_space: part,
    str_rep: ignored('an old copy of replacement'),
  },
  'pre_tokenizer.Whitespace': {},
  'pre_tokenizer.WhitespaceSplit': {},
  'pre_tokenizer.CharDelimiterSplit': { delimiter: part },
  'pre_tokenizer.Split': { pattern: part, behavior: part, invert: part },
  'pre_tokenizer.Punctuation': { behavior: part },
  'pre_tokenizer.Digits': { individual_digits: part },
  'pre_tokenizer.FixedLength': { length: part },
  'pre_tokenizer.UnicodeScripts': { '': refused('always: not known here') },
  'post_processor.Sequence': { processors: part },
  'post_processor.ByteLevel': {
    add_prefix_space: offsetsOnly,
    trim_offsets: offsetsOnly,
    use_regex: ignored('nothing is split any more'),
  },
  'post_processor.TemplateProcessing': {
    single: part,
    special_tokens: part,
    pair: ignored('texts are tokenized one by one'),
  },
  'post_processor.BertProcessing': { sep: part, cls: part },
  'post_processor.RobertaProcessing': {
    sep: part,
    cls: part,
    trim_offsets: offsetsOnly,
    add_prefix_space: offsetsOnly,
  },
  'decoder.Sequence': { decoders: part },
  'decoder.ByteLevel': {
    add_prefix_space: ignored('bytes are decoded as they are'),
    trim_offsets: ignored('bytes are decoded as they are'),
    use_regex: ignored('bytes are decoded as they are'),
  },
  'decoder.ByteFallback': {},
  'decoder.Fuse': {},
  'decoder.Metaspace': {
    replacement: part,
    prepend_scheme: part,
    add_prefix_space: part,
    split: ignored('nothing is split any more'),
    str_rep: ignored('an old copy of replacement'),
  },
  'decoder.Replace': { pattern: part, content: part },
  'decoder.Strip': { content: part, start: part, stop: part },
  'decoder.WordPiece': { prefix: part, cleanup: part },
  'decoder.BPEDecoder': { suffix: part },
  'decoder.CTC': { pad_token: part, word_delimiter_token: part, cleanup: part },
};
