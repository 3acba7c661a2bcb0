import { LowrankError } from '@lowrank/errors';
import type { Dataset, LoadDatasetOptions, RowSelection } from './dataset.js';
import { encodeSelected, selectRows } from './dataset.js';
import type { ReadRows } from './readRows.js';
import type { RowSource } from './rowSource.js';
import { rowsFrom, rowSourceName } from './rowSource.js';
import type { TextRow } from './textRow.js';
import type { TextTokenizer, TokenizerOptions } from './tokenizer.js';
import type { TextFiles } from './textFiles.js';
import { readOptionalJson, textFiles } from './textFiles.js';

/**
 * The tokenizer of a Hugging Face model: tokenizer.json, with tokenizer_config.json, special_tokens_map.json,
 * added_tokens.json and config.json where these exist.
 *
 * @param place a folder on disk (Node), or files from anywhere
 * @throws LowrankError `data.missing`, `data.json`, and what loadTokenizer throws
 */
export async function readTokenizer(place: string | TextFiles): Promise<TextTokenizer> {
  const files = textFiles(place);
  const name = `${files.name}/tokenizer.json`;
  const tokenizer = await readOptionalJson(files, 'tokenizer.json');
  if (tokenizer === undefined) {
    throw new LowrankError({
      code: 'data.missing',
      what: name,
      expected: 'a file',
      got: 'no such file',
      remedy:
        'A model folder needs the tokenizer.json that came with the model; transformers writes one with ' +
        'save_pretrained.',
    });
  }
  const config = await readOptionalJson(files, 'tokenizer_config.json');
  const model = await readOptionalJson(files, 'config.json');
  const modelIds = { bos: model?.['bos_token_id'], eos: model?.['eos_token_id'] } as TokenizerOptions['modelIds'];
  // As large as a family of models, and loaded with one: a page has no use for it before a model is chosen.
  const { loadTokenizer } = await import('./tokenizer.js');
  return loadTokenizer(tokenizer, config, {
    name,
    modelIds,
    modelType: textIn(model, 'model_type'),
    modelClass: textIn(model, 'tokenizer_class'),
    specialTokensMap: await readOptionalJson(files, 'special_tokens_map.json'),
    addedTokens: await readOptionalJson(files, 'added_tokens.json'),
  });
}

function textIn(json: Readonly<Record<string, unknown>> | undefined, key: string): string | undefined {
  const value = json?.[key];
  return typeof value === 'string' ? value : undefined;
}

/**
 * A data set, read piece by piece.
 *
 * @throws LowrankError `data.missing`, `data.unreadable`, and what loadDataset throws
 */
export async function readDataset(
  source: RowSource,
  tokenizer: TextTokenizer,
  options: LoadDatasetOptions = {},
): Promise<Dataset> {
  const given = { ...options, name: options.name ?? rowSourceName(source) };
  return encodeSelected(await selectedRows(source, given), tokenizer, given);
}

/**
 * The rows as they are, cut and chosen as the options say, with their forms.
 *
 * @throws LowrankError `data.missing`, `data.unreadable`, and what parseJsonl, splitAfter and holdOut throw
 */
export async function selectedRows(
  source: RowSource,
  options: RowSelection & { readonly name?: string | undefined } = {},
): Promise<ReadRows> {
  const given = { ...options, name: options.name ?? rowSourceName(source) };
  const { rows, forms } = await rowsFrom(source, given);
  return { rows: selectRows(rows, given), forms };
}

/** The rows alone. @throws LowrankError what selectedRows throws */
export async function readTextRows(
  source: RowSource,
  options: RowSelection & { readonly name?: string | undefined } = {},
): Promise<TextRow[]> {
  return (await selectedRows(source, options)).rows;
}
