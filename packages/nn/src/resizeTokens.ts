import { LowrankError } from '@lowrank/errors';
import { fromNumbers, readTensor, tensor, toFloat32 } from '@lowrank/tensor';
import { Embedding } from './embedding.js';
import { Linear } from './linear.js';
import type { Module } from './module.js';
import type { Parameter } from './parameter.js';
import { TiedLinear } from './tiedLinear.js';

/** A model that reads token ids from one table, and writes with an output projection. */
export interface TokenModel extends Module {
  readonly embeddingPath: string;
  readonly outputPath: string;
  readonly shape: { vocabularySize: number };
}

/** Whether a model says where its token embedding is. */
export function isTokenModel(model: Module): model is TokenModel {
  return 'embeddingPath' in model && 'shape' in model;
}

const resized = new WeakSet<Module>();

/** Whether `resizeTokens` has changed this model: what is saved of it then needs its tables. */
export function isResized(model: Module): boolean {
  return resized.has(model);
}

/**
 * Gives a model another number of tokens, in place: the embedding's table and, where it is not the same, the output
 * projection's. New rows are the mean of the old ones, in f32, rounded to the table's dtype: what transformers'
 * `resize_token_embeddings` draws around, with a covariance of 1e-9 times the old rows' own. With fewer tokens the last
 * rows go.
 *
 * Before adapters are put into the model, and before it is compiled.
 *
 * @throws LowrankError `nn.tokens` for a count that is no whole number above 0, and for a model with adapters
 */
export async function resizeTokens(model: TokenModel, count: number): Promise<void> {
  if (!Number.isInteger(count) || count <= 0 || count > 2 ** 27)
    throw refused(`${count} tokens`, 'a whole number above 0', String(count));
  if (count === model.shape.vocabularySize) return;
  for (const [path, parameter] of tokenTables(model)) {
    const { own: before } = parameter;
    const [rows = 0, width = 0] = before.shape;
    const values = resizedRows(toFloat32(await readTensor(before), before.dtype), [rows, width], count);
    // Two elements of 16 bits share a word.
    const dtype = (count * width) % 2 === 0 ? before.dtype : 'f32';
    const data = dtype === 'f16' || dtype === 'bf16' ? fromNumbers(values, dtype) : values;
    parameter.own = tensor(data, [count, width], { dtype, name: `${path}.weight` });
    before.dispose();
  }
  model.shape.vocabularySize = count;
  resized.add(model);
}

/** The paths and parameters of the embedding and, unless it is tied to it, the output projection. */
function tokenTables(model: TokenModel): [path: string, parameter: Parameter][] {
  const modules = new Map(model.namedModules());
  const [embedding, output] = [modules.get(model.embeddingPath), modules.get(model.outputPath)];
  if (embedding !== undefined && 'matrix' in embedding)
    throw refused('a model with its tokens in codes', 'a dense table', 'codes', 'Load it without quantizeEmbeddings.');
  if (!(embedding instanceof Embedding) || !(output instanceof Linear))
    throw refused('a model with adapters on its tokens', 'one without', 'adapters', 'Resize it before they go in.');
  return [
    [model.embeddingPath, embedding.weight],
    ...(output instanceof TiedLinear ? [] : [[model.outputPath, output.weight] as [string, Parameter]]),
  ];
}

/** A table [rows, width] with another number of rows; new ones are the mean of the old. */
export function resizedRows(
  values: Float32Array,
  [rows, width]: readonly [rows: number, width: number],
  count: number,
): Float32Array {
  const made = new Float32Array(count * width);
  made.set(values.subarray(0, Math.min(rows, count) * width));
  if (count <= rows) return made;
  const sums = new Float64Array(width);
  values.forEach((value, at) => (sums[at % width] = (sums[at % width] ?? 0) + value));
  const mean = Float32Array.from(sums, (sum) => sum / rows);
  for (let row = rows; row < count; row++) made.set(mean, row * width);
  return made;
}

function refused(what: string, expected: string, got: string, remedy?: string): LowrankError {
  return new LowrankError({ code: 'nn.tokens', what: `resizing to ${what}`, expected, got, remedy });
}
