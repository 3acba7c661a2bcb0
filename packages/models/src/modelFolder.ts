import { TiedLinear } from '@lowrank/nn';
import type { SafetensorsFile } from '@lowrank/safetensors';
import { bytesPerElement } from '@lowrank/tensor/op';
import { toFloat32 } from '@lowrank/tensor';
import { ConfigReader } from './config.js';
import type { ModelFamily } from './family.js';
import type { ModelFiles } from './files.js';
import { openWeights, readJson } from './files.js';
import { loadFamily } from './loadFamily.js';
import { outlineSource } from './outlineSource.js';
import { dtypeOf, floats, isFloatDtype } from './placement.js';
import { renamed } from './renamed.js';

/** A folder's config.json and weights, read together: what one says the other may overrule. */
export interface ModelFolder {
  /** config.json, with `tie_word_embeddings` as the weights have it. */
  readonly json: Readonly<Record<string, unknown>>;
  /** Whether the weights overrule it there. */
  readonly overruled: boolean;
  readonly config: ConfigReader;
  readonly family: ModelFamily;
  /** As it is stored. */
  readonly stored: SafetensorsFile;
  /** Under the names that the model asks for. */
  readonly weights: SafetensorsFile;
}

/**
 * Opens a folder as transformers 5 understands it (`tie_weights`): where config.json ties the output projection to the
 * embedding's table but the file holds both and they differ, the stored one counts and nothing is tied; where only the
 * output projection is stored, it is the table.
 *
 * @throws LowrankError `models.noFile`, `models.json`, `models.config`, `models.unknownType`, and safetensors' codes
 */
export async function openModelFolder(files: ModelFiles): Promise<ModelFolder> {
  const name = `${files.name}/config.json`;
  const json = await readJson(files, 'config.json');
  const family = await loadFamily(new ConfigReader(json, name));
  const stored = await openWeights(files);
  const read = (values: Readonly<Record<string, unknown>>): ConfigReader =>
    new ConfigReader(values, name, stored.tensors.size);
  const opened = { json, overruled: false, config: read(json), family, stored, weights: family.weights(stored) };
  if (family.isEncoder) return opened;
  const outline = family.build(opened.config, outlineSource({ dtype: 'f32' }));
  if (!(outline.children().get(outline.outputPath) instanceof TiedLinear)) return opened;
  const [table, output] = [`${outline.embeddingPath}.weight`, `${outline.outputPath}.weight`];
  const { tensors } = opened.weights;
  if (!tensors.has(output)) return opened;
  if (!tensors.has(table))
    return { ...opened, weights: renamed(opened.weights, (each) => (each === output ? table : each)) };
  if (await areEqual(opened.weights, table, output)) return opened;
  const untied = { ...json, tie_word_embeddings: false };
  return { ...opened, json: untied, overruled: true, config: read(untied) };
}

/** Elements that are compared at a time. */
const window = 2 ** 20;

/** Whether two tensors hold the same numbers; true for codes, which are no projection of their own. */
async function areEqual(file: SafetensorsFile, ...names: readonly [string, string]): Promise<boolean> {
  const [a, b] = names.map((name) => file.tensors.get(name));
  if (a === undefined || b === undefined || !isFloatDtype(a.dtype) || !isFloatDtype(b.dtype)) return true;
  if (a.shape.join() !== b.shape.join()) return false;
  const size = a.shape.reduce((product, each) => product * each, 1);
  for (let start = 0; start < size; start += window) {
    const end = Math.min(size, start + window);
    const [left, right] = await Promise.all(
      [a, b].map(async (info, at) => {
        const dtype = dtypeOf(info);
        const width = bytesPerElement(dtype);
        return toFloat32(floats(await file.readRange(names[at] ?? '', start * width, end * width), dtype), dtype);
      }),
    );
    if (left?.every((value, at) => value === right?.[at]) !== true) return false;
  }
  return true;
}
