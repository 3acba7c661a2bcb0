import type { WholeTensor } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';
import { isTokenModel, resizeTokens } from '@lowrank/nn';

/**
 * The tokens of the vocabulary that an adapter was trained over, where it has the tables of a model with more tokens
 * than this one, of the same width; undefined where it has not.
 */
export function grownVocabulary(
  model: Module,
  { whole = new Map() }: { readonly whole?: ReadonlyMap<string, WholeTensor> },
): number | undefined {
  if (!isTokenModel(model)) return undefined;
  const [size, width] = [
    model.shape.vocabularySize,
    new Map(model.namedParameters()).get(`${model.embeddingPath}.weight`)?.own.shape[1],
  ];
  const tables = [model.embeddingPath, model.outputPath].flatMap((path) => [
    `${path}.base_layer.weight`,
    `${path}.weight`,
  ]);
  const counts = tables.flatMap((name) => {
    const shape = whole.get(name)?.shape;
    return shape?.length === 2 && shape[1] === width ? (shape[0] ?? 0) : [];
  });
  const count = Math.max(0, ...counts);
  return count > size ? count : undefined;
}

/** Resizes a model whose adapter was trained over more tokens: its tables are about to get the adapter's rows. */
export async function growTokens(model: Module, adapter: Parameters<typeof grownVocabulary>[1]): Promise<void> {
  const count = grownVocabulary(model, adapter);
  if (count !== undefined && isTokenModel(model)) await resizeTokens(model, count);
}

/** The names of the tables that a resized model's adapters are saved with, as PEFT does. */
export function resizedTables(model: Module): string[] {
  return isTokenModel(model) ? [model.embeddingPath, model.outputPath].map((path) => `${path}.base_layer.weight`) : [];
}
