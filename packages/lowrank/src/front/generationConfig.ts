import type { TextFiles } from '@lowrank/data';
import { LowrankError, parseJson, shown } from '@lowrank/errors';
import type { SamplingOptions } from '@lowrank/models';
import type { KeyTable } from '@lowrank/settings';
import { eachKey, followed, ignored, refused, unlistedKey, unlistedKeys } from '@lowrank/settings';

const sampled = followed('where do_sample is true, or a temperature is asked for');
const beams = ignored('of several beams, of which there is one');
const ofCall = ignored('a setting of calls, or of memory');
const assisted = ignored('of a second model that guesses, which changes no text');
const lengths = ignored('how long a text may become is a setting of the call');

/**
 * generation_config.json: what `generate` and `chat` take from it.
 *
 * @public for the table of docs/folders.md
 */
export const generationKeys: KeyTable = {
  eos_token_id: followed('ends a text, like those of the tokenizer and of config.json'),
  do_sample: followed('true: tokens are drawn, with the settings below'),
  ...eachKey(['temperature', 'top_p', 'min_p'], sampled),
  top_k: followed(
    'where do_sample is true, or a temperature is asked for; 50 where it is left out, as in transformers',
  ),
  repetition_penalty: followed('always'),
  stop_strings: followed('end a text, which is cut before them'),
  ...eachKey(['max_length', 'max_new_tokens', 'max_time'], lengths),
  ...eachKey(
    [
      'num_beams',
      'num_beam_groups',
      'num_return_sequences',
      'encoder_repetition_penalty',
      'typical_p',
      'top_h',
      'guidance_scale',
    ],
    refused('other than 1'),
  ),
  ...eachKey(
    [
      'min_length',
      'min_new_tokens',
      'no_repeat_ngram_size',
      'encoder_no_repeat_ngram_size',
      'epsilon_cutoff',
      'eta_cutoff',
      'penalty_alpha',
      'diversity_penalty',
    ],
    refused('other than 0'),
  ),
  ...eachKey(
    [
      'bad_words_ids',
      'force_words_ids',
      'constraints',
      'suppress_tokens',
      'begin_suppress_tokens',
      'sequence_bias',
      'forced_bos_token_id',
      'forced_eos_token_id',
      'exponential_decay_length_penalty',
      'watermarking_config',
      'dola_layers',
      'token_healing',
    ],
    refused('other than null, false or empty'),
  ),
  ...eachKey(['length_penalty', 'early_stopping'], beams),
  ...eachKey(['bos_token_id', 'decoder_start_token_id'], ignored('the tokenizer begins a text')),
  pad_token_id: ignored('rows of one length are not padded with tokens'),
  renormalize_logits: ignored('a shift of all logits, of which no token knows'),
  remove_invalid_values: ignored('numbers that are not finite are an error'),
  ...eachKey(
    [
      'use_cache',
      'use_mtp',
      'cache_implementation',
      'cache_config',
      'max_cache_len',
      'return_legacy_cache',
      'prefill_chunk_size',
      'low_memory',
      'compile_config',
      'disable_compile',
      'continuous_batching_config',
      'output_attentions',
      'output_hidden_states',
      'output_scores',
      'output_logits',
      'return_dict_in_generate',
      'chat_format',
      'trust_remote_code',
    ],
    ofCall,
  ),
  ...eachKey(
    [
      'is_assistant',
      'num_assistant_tokens',
      'num_assistant_tokens_schedule',
      'assistant_confidence_threshold',
      'prompt_lookup_num_tokens',
      'max_matching_ngram_size',
      'assistant_early_exit',
      'assistant_lookbehind',
      'target_lookbehind',
      'assistant_ensemble_weight',
      'speculation_type',
    ],
    assisted,
  ),
  transformers_version: ignored('a record of how the file came to be'),
};

/** How texts of a folder are written where nobody says. */
export interface GenerationConfig {
  readonly stopIds: readonly number[];
  readonly stopStrings: readonly string[];
  /** Tokens are drawn, not the likeliest taken. */
  readonly samples: boolean;
  readonly sampling: SamplingOptions;
  /** Of keys that are not known. */
  readonly warnings: readonly string[];
  /** A key that asks for what Lowrank does not do; thrown where a text is about to be written. */
  readonly refused: LowrankError | undefined;
}

/**
 * A folder without the file, or with a damaged one, says nothing, as in transformers.
 *
 * @param followed false: nothing of it counts but EOS
 */
export async function readGenerationConfig(files: TextFiles, isFollowed = true): Promise<GenerationConfig> {
  const all = parsed((await files.text('generation_config.json')) ?? '{}');
  const json = isFollowed ? all : { eos_token_id: all['eos_token_id'] };
  const name = `${files.name}/generation_config.json`;
  const number = (key: string): number | undefined => (typeof json[key] === 'number' ? json[key] : undefined);
  const samples = json['do_sample'] === true;
  const given = {
    temperature: number('temperature'),
    topK: number('top_k') ?? (samples && json['top_k'] !== null ? 50 : undefined),
    topP: number('top_p'),
    minP: number('min_p'),
    repetitionPenalty: number('repetition_penalty'),
  };
  return {
    stopIds: [json['eos_token_id']].flat().filter((id) => typeof id === 'number'),
    stopStrings: [json['stop_strings']]
      .flat()
      .filter((text): text is string => typeof text === 'string' && text !== ''),
    samples,
    sampling: Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    warnings: unlistedKeys(json, generationKeys).map((key) => unlistedKey(key, name)),
    refused: refusal(json, name),
  };
}

/**
 * The settings of a text: those that were asked for, else the folder's, else `otherwise`. A folder that does not sample
 * gives its top-k, top-p and min-p to a temperature that was asked for.
 *
 * @throws LowrankError `lowrank.generationConfig` for a key that is refused
 */
export function samplingOf(
  asked: SamplingOptions,
  { samples, sampling, refused: problem }: GenerationConfig,
  otherwise: SamplingOptions = {},
): SamplingOptions {
  if (problem !== undefined) throw problem;
  const { temperature = 1, repetitionPenalty, ...filters } = sampling;
  const own = samples
    ? { ...filters, temperature }
    : { ...otherwise, ...(asked.temperature === undefined ? {} : filters) };
  return { ...own, repetitionPenalty, ...given(asked) };
}

/** What a folder makes of texts, for those who asked for nothing: they may take it for the likeliest text. */
export function samplingNote({ samples, sampling }: GenerationConfig, asked: SamplingOptions): string[] {
  const { repetitionPenalty = 1, temperature = 1, ...filters } = sampling;
  const settings = samples && asked.temperature === undefined ? { temperature, ...filters } : {};
  const all = { ...settings, ...(repetitionPenalty === 1 ? {} : { repetitionPenalty }) };
  const names = Object.entries(all).map(([name, value]) => `${name} ${value}`);
  if (names.length === 0) return [];
  const greedy = samples ? ' A temperature of 0 takes the likeliest token each time.' : '';
  return [`generation_config.json says how texts are written: ${names.join(', ')}.${greedy}`];
}

/** What of a call's options says how tokens are drawn. */
export function samplingIn({
  temperature,
  topK,
  topP,
  minP,
  repetitionPenalty,
  seed,
}: SamplingOptions): SamplingOptions {
  return { temperature, topK, topP, minP, repetitionPenalty, seed };
}

function given(options: SamplingOptions): SamplingOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = parseJson(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function refusal(json: Readonly<Record<string, unknown>>, name: string): LowrankError | undefined {
  const found = Object.entries(generationKeys).find(([key, { use, why }]) => {
    const value = json[key];
    if (use !== 'refused' || value === undefined || value === null || value === false) return false;
    if (why.endsWith('1')) return value !== 1;
    return value !== 0 && !(Array.isArray(value) && value.length === 0) && !isEmpty(value);
  });
  if (found === undefined) return undefined;
  const [key, { why }] = found;
  return new LowrankError({
    code: 'lowrank.generationConfig',
    what: `${key} in ${name}`,
    expected: why.replace('other than ', ''),
    got: shown(json[key]),
    remedy: (names) =>
      `Lowrank has no such setting. ${names('generationConfig', 'false')} leaves the file aside, but for its EOS.`,
    setting: 'generationConfig',
  });
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
