import { LowrankError, parseJson } from '@lowrank/errors';
import { safeName } from '@lowrank/files/names';
import type { ByteSource } from './byteSource.js';
import type { TensorInfo } from './header.js';
import { isRecord, kindOf, quote } from './header.js';
import { repeatedKey } from './jsonKeys.js';
import type { SafetensorsFile } from './open.js';
import { openSafetensors, tensorNamed } from './open.js';

/** Options of `openSharded`. */
export interface ShardedOptions {
  /** `model.safetensors.index.json`. */
  readonly index: ByteSource;
  /** The shard of a file name that stands in the index, such as `model-00001-of-00002.safetensors`. */
  readonly shard: (fileName: string) => ByteSource | Promise<ByteSource>;
}

/** An index larger than this is none. The largest published ones are a few MB. */
const largestIndex = 100_000_000;

/**
 * Opens a model split over shards by its `model.safetensors.index.json` (`{"metadata": {...}, "weight_map": {tensor:
 * file}}`). All headers are read and checked at once; a tensor is read out of the shard that the index names. Tensors
 * that a shard holds beside the listed ones are there too, as in transformers, unless the name is taken.
 *
 * @throws LowrankError `safetensors.index` (not JSON, no weight_map, duplicate names), `files.unsafeName` (a path
 * rather than a file name), `safetensors.indexMismatch` (a shard without a tensor that the index puts there), and what
 * openSafetensors throws
 */
export async function openSharded(options: ShardedOptions): Promise<SafetensorsFile> {
  const { index } = options;
  const weightMap = await readIndex(index);
  const shards = new Map<string, SafetensorsFile>();
  for (const fileName of [...new Set(weightMap.values())].sort()) {
    shards.set(fileName, await openSafetensors(await options.shard(fileName)));
  }

  const homes = new Map<string, SafetensorsFile>();
  for (const [name, fileName] of weightMap) {
    const shard = shards.get(fileName);
    if (shard === undefined || !shard.tensors.has(name)) throw notInShard(index.name, name, fileName);
    homes.set(name, shard);
  }
  const tensors = new Map<string, TensorInfo>();
  let metadata: Record<string, string> = {};
  for (const shard of shards.values()) {
    metadata = { ...metadata, ...shard.metadata };
    for (const [name, tensor] of shard.tensors) {
      if (!homes.has(name)) homes.set(name, shard);
      if (homes.get(name) === shard) tensors.set(name, tensor);
    }
  }

  function home(name: string): SafetensorsFile {
    const shard = homes.get(tensorNamed({ name: index.name, tensors }, name).name);
    if (shard === undefined) throw notInShard(index.name, name, 'any shard');
    return shard;
  }
  return {
    name: index.name,
    metadata,
    tensors,
    read: async (name) => home(name).read(name),
    readRange: async (name, start, end) => home(name).readRange(name, start, end),
  };
}

async function readIndex(index: ByteSource): Promise<Map<string, string>> {
  const size = await index.size();
  if (size > largestIndex) throw badIndex(index.name, `at most ${largestIndex} bytes`, `${size}`);
  const bytes = await index.read(0, size);
  let value: unknown;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    value = parseJson(text);
  } catch (cause) {
    throw badIndex(index.name, 'JSON', cause instanceof Error ? cause.message.slice(0, 80) : 'none', cause);
  }
  const repeated = repeatedKey(text);
  if (repeated !== undefined) throw badIndex(index.name, 'each name once', `${quote(repeated.key)} twice`);
  const weightMap = isRecord(value) ? value['weight_map'] : undefined;
  if (!isRecord(weightMap) || Object.keys(weightMap).length === 0) {
    throw badIndex(index.name, 'a "weight_map" object of tensor names to file names', kindOf(weightMap));
  }
  return new Map(
    Object.entries(weightMap).map(([name, fileName]) => [name, checkedFileName(index.name, name, fileName)]),
  );
}

/** Shards lie beside their index: a path out of the folder is an attack or a mistake, never a model. */
function checkedFileName(index: string, name: string, fileName: unknown): string {
  return safeName(fileName, { what: `${index}: the file of ${quote(name)}`, pattern: /^[^\p{Cc}]{1,200}$/u });
}

function badIndex(name: string, expected: string, got: string, cause?: unknown): LowrankError {
  return new LowrankError({
    code: 'safetensors.index',
    what: name,
    expected,
    got,
    remedy: 'Download the index file again.',
    cause,
  });
}

function notInShard(index: string, name: string, fileName: string): LowrankError {
  return new LowrankError({
    code: 'safetensors.indexMismatch',
    what: `${index}: tensor ${quote(name)}`,
    expected: `it in ${fileName}`,
    got: 'no such tensor there',
    remedy: 'The index and the shards come from different saves; download the folder again.',
  });
}
