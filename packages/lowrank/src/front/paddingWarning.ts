import type { EncodedRow } from '@lowrank/data';
import type { AppliedMethod } from '@lowrank/methods';
import type { TextModel } from '@lowrank/models';

/**
 * transformers gives its embedding `pad_token_id` as `padding_idx`: while the embedding is trained, that token's row
 * has
 * no gradient, even where the token is used as another one (EOS, mostly). Lowrank trains it like any other row.
 */
export function paddingWarnings(
  { paddingId, embeddingPath }: TextModel,
  { parameters }: Pick<AppliedMethod, 'parameters'>,
  rows: readonly Pick<EncodedRow, 'ids'>[],
): string[] {
  if (paddingId === undefined || !parameters.some(({ name }) => name.startsWith(embeddingPath))) return [];
  // What is last in a row is read by nothing.
  const count = rows.filter(({ ids }) => ids.subarray(0, -1).includes(paddingId)).length;
  if (count === 0) return [];
  return [
    `config.json: pad_token_id ${paddingId} stands within ${count} ${count === 1 ? 'row' : 'rows'}: ` +
      'transformers leaves its row of the input embedding as it is, Lowrank trains it.',
  ];
}
