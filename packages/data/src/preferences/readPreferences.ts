import type { LoadDatasetOptions } from '../dataset.js';
import { selectedRows } from '../files.js';
import { describeForms } from '../rowForms.js';
import type { RowSource } from '../rowSource.js';
import { rowSourceName } from '../rowSource.js';
import { isChat } from '../textRow.js';
import type { TextTokenizer } from '../tokenizer.js';
import type { EncodePreferencesOptions, PreferenceDataset } from './encodePreferences.js';
import { encodePreferences } from './encodePreferences.js';

export type ReadPreferencesOptions = Omit<EncodePreferencesOptions, 'chatTemplate'> &
  Omit<LoadDatasetOptions, keyof EncodePreferencesOptions | 'kind'> &
  Pick<LoadDatasetOptions, 'chatTemplate'>;

/**
 * Pairs or judged rows of a source, read piece by piece.
 *
 * @throws LowrankError what selectedRows and encodePreferences throw
 */
export async function readPreferences(
  source: RowSource,
  tokenizer: TextTokenizer,
  options: ReadPreferencesOptions,
): Promise<PreferenceDataset> {
  const given = { ...options, name: options.name ?? rowSourceName(source) };
  const { rows, forms } = await selectedRows(source, given);
  const { chatTemplate } = given;
  const template = !rows.some(isChat)
    ? undefined
    : typeof chatTemplate === 'function'
      ? await chatTemplate()
      : chatTemplate;
  const encoded = encodePreferences(rows, tokenizer, { ...given, chatTemplate: template });
  return { ...encoded, forms: describeForms(forms, rows.length) };
}
