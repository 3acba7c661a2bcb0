/** What PEFT puts before every name: the adapter model around the base. */
export const prefix = 'base_model.model.';

/**
 * Embeddings and output projections lie outside the numbered layers, whatever a model calls them. PEFT saves the weight
 * of an adapted one along, and of a tied pair that is saved whole both.
 */
export function isOutsideLayers(name: string): boolean {
  return !/(^|\.)\d+\./.test(name);
}

/** The suffix by which an adapter here names a table of the base that was saved along. */
export const tableSuffix = '.base_layer.weight';

/**
 * The names of a file's tensors without PEFT's prefix, and in one form where PEFT and its versions write several:
 *
 * - with the adapter's name, as `state_dict()` of a PEFT model has it: `lora_A.default.weight`;
 * - modules saved whole under all the names of their wrapper: `modules_to_save.weight` is `weight`, where that is not
 *   there too, and `original_module.weight` is the base's table;
 * - a resized table along with trained token rows: `token_adapter.base_layer.weight`.
 *
 * Undefined for a copy that says nothing new; a name without the prefix is left as it is.
 */
export function plainNames(keys: Iterable<string>): Map<string, string | undefined> {
  const names = new Map(
    [...keys].map((key) => [key, key.startsWith(prefix) ? plainName(key.slice(prefix.length)) : key]),
  );
  const taken = new Set(names.values());
  return new Map(
    [...names].map(([key, name]) => {
      if (!key.startsWith(prefix)) return [key, name];
      const saved = name.replace(/\.modules_to_save\.([^.]+)$/, '.$1');
      return [key, saved !== name && taken.has(saved) ? undefined : saved];
    }),
  );
}

function plainName(name: string): string {
  return name
    .replace(/\.(lora_\w+|modules_to_save|trainable_tokens_delta)\.default(?=\.|$)/, '.$1')
    .replace(/\.lora_magnitude_vector\.weight$/, '.lora_magnitude_vector')
    .replace(/\.(original_module|token_adapter\.base_layer)\.weight$/, tableSuffix);
}

/** How PEFT names a table of the base that was saved along, by what an adapter has at its module. */
export function tableName(
  name: string,
  { adapted, rows, whole }: { readonly adapted: boolean; readonly rows: boolean; readonly whole: boolean },
): string {
  const path = name.slice(0, -tableSuffix.length);
  if (adapted) return name;
  if (rows) return `${path}.token_adapter${tableSuffix}`;
  return whole ? `${path}.original_module.weight` : `${path}.weight`;
}
