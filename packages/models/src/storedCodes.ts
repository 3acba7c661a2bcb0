import type { BaseTensorInfo, StoredCodes } from '@lowrank/gguf';
import type { SafetensorsFile, TensorInfo } from '@lowrank/safetensors';
import type { ModelFiles } from './files.js';
import type { Placement } from './placement.js';
import type { WeightRequest } from './weights.js';

/** The codes that a GGUF file has for a matrix, where they lie as the model lays it out. */
export function codesIn(
  { tensors }: SafetensorsFile,
  { name, shape, transposed }: WeightRequest,
): StoredCodes | undefined {
  const info: BaseTensorInfo | undefined = tensors.get(name);
  return transposed === true || info?.shape.join() !== shape.join() ? undefined : info.codes;
}

/** Bytes of a tensor in its file: fewer than its numbers take, where it lies there in codes. */
export function storedBytes(info: TensorInfo | undefined): number {
  const { storedBytes: stored, byteLength = 0 }: Partial<BaseTensorInfo> = info ?? {};
  return stored ?? byteLength;
}

/** A sentence for what a file has in codes and the model holds as numbers: tables, which are looked up. */
export function denseCodes({ tensors }: SafetensorsFile, placements: readonly Placement[]): string | undefined {
  const dense = placements.flatMap(({ request: { name }, parts: [part, ...more] }) => {
    const { codes, byteLength }: Partial<BaseTensorInfo> = tensors.get(name) ?? {};
    return codes !== undefined && byteLength !== undefined && more.length === 0 && part?.dtype === 'f32'
      ? [{ name, byteLength, type: codes.type }]
      : [];
  });
  if (dense.length === 0) return undefined;
  const names = dense.slice(0, 3).map(({ name, type }) => `${name} (${type})`);
  if (dense.length > names.length) names.push(`${dense.length - names.length} more`);
  const bytes = dense.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return `${names.join(', ')} become${dense.length === 1 ? 's' : ''} f32 in memory, ${(bytes / 1e6).toFixed(1)} MB`;
}

/** The codes that a GGUF file has for the matrices of linear layers, by path; undefined of other places. */
export async function storedCodes(files: ModelFiles): Promise<ReadonlyMap<string, StoredCodes> | undefined> {
  const weights = await files.weights?.();
  if (weights === undefined) return undefined;
  return new Map(
    [...weights.tensors.values()].flatMap(({ name, codes }: BaseTensorInfo) =>
      codes === undefined ? [] : [[name, codes] as const],
    ),
  );
}
