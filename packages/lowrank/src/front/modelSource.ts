import type { TextFiles } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { HubId, ModelCache, ModelFiles, TransferProgress } from '@lowrank/models';
import {
  downloadModel,
  filesFrom,
  findModel,
  ggufFiles,
  isGgufName,
  openDirectory,
  openFolder,
  originCache,
  parseHubId,
  remoteGguf,
} from '@lowrank/models';
import { webAddress } from '@lowrank/safetensors';
import { modelFolder } from '../storage/places.js';

/**
 * Where a model or an adapter is: a folder (Node), a hub id such as `HuggingFaceTB/SmolLM2-135M-Instruct` (with
 * `@revision` where it is not main's), the URL of a folder, files that a person picked or dropped, a folder of a
 * browser (picked, or of the origin's private file system), or {@link ModelFiles} of your own. A model may also be a
 * GGUF file of llama.cpp: its path, its URL, `owner/name/file.gguf` on the hub, or a picked file.
 */
export type ModelSource = string | Iterable<File> | FileSystemDirectoryHandle | ModelFiles;

export interface SourceOptions {
  readonly onDownload?: ((progress: TransferProgress) => void) | undefined;
  readonly onWarning?: ((text: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The files of a source, and its name as `base_model_name_or_path` gives it. */
export interface FoundFiles {
  readonly name: string;
  readonly files: ModelFiles;
}

/**
 * Finds the files of a source; hub ids and URLs are downloaded first, into the hub's own cache (Node) or the origin's
 * private file system (browsers), as far as they are not there.
 *
 * @throws LowrankError `models.noFolder`, `lowrank.source`, and what downloadModel throws
 */
export async function findFiles(
  source: ModelSource,
  kind: 'model' | 'adapter',
  options: SourceOptions = {},
): Promise<FoundFiles> {
  if (typeof source === 'string') return inNode ? onDisk(source, kind, options) : inBrowser(source, options);
  if (typeof source !== 'object' || source === null) throw noSource(source, kind);
  if (isFiles(source)) return { name: source.name, files: source };
  if (isDirectory(source)) return { name: source.name, files: openDirectory(source) };
  if (!isIterable(source)) throw noSource(source, kind);
  const files = filesFrom(source, `the ${kind}'s files`);
  return { name: files.name, files };
}

function noSource(source: unknown, kind: string): LowrankError {
  return new LowrankError({
    code: 'lowrank.source',
    what: `the ${kind}`,
    expected: 'a folder, a hub id, a URL, files, or a FileSystemDirectoryHandle',
    got: source === null ? 'null' : typeof source,
  });
}

/** Bun and Deno have Node's file system too. */
const inNode = typeof process !== 'undefined' && process.versions?.node !== undefined;

async function onDisk(text: string, kind: 'model' | 'adapter', options: SourceOptions): Promise<FoundFiles> {
  const { onDownload, ...others } = options;
  const { name, folder } = await findModel(text, { kind, ...others, onProgress: onDownload });
  return { name, files: await openFolder(folder) };
}

async function inBrowser(text: string, { onDownload, ...options }: SourceOptions): Promise<FoundFiles> {
  const { ownDisk } = await import('@lowrank/files');
  const kept = await ownDisk.stat(text).catch(() => undefined);
  if (kept?.kind === 'folder' || (kept?.kind === 'file' && isGgufName(text)))
    return { name: text, files: await openFolder(text) };
  const { from, name, cache, gguf } = await cachedInBrowser(text);
  const files = await downloadModel(from, { ...options, cache, only: gguf, onProgress: onDownload });
  const file = gguf === undefined ? undefined : await files.file(gguf);
  return file === undefined ? { name, files } : { name: text, files: await ggufFiles(file, gguf) };
}

/** A hub id, an address, or a GGUF file below one, what it is called, and where its files are kept in a browser. */
export async function cachedInBrowser(text: string): Promise<{
  readonly from: HubId | string;
  readonly name: string;
  readonly cache: ModelCache;
  readonly gguf: string | undefined;
}> {
  const { originFolder } = await import('@lowrank/files');
  const gguf = remoteGguf(parseHubId(text.replace(/\/[^/]*$/, '')) === undefined ? absolute(text) : text);
  const from = gguf?.from ?? parseHubId(text) ?? absolute(text);
  // User, password and query of an address stay out of names.
  const place = typeof from === 'string' ? webAddress(from).shown : from.id;
  const cache = originCache(await originFolder(modelFolder(place)));
  return { from, name: typeof from === 'string' ? place : text, cache, gguf: gguf?.file };
}

const absolute = (text: string): string => new URL(text, globalThis.location?.href).href;

function isFiles(source: object): source is ModelFiles {
  return 'file' in source && typeof source.file === 'function';
}

function isDirectory(source: object): source is FileSystemDirectoryHandle {
  return 'kind' in source && source.kind === 'directory';
}

function isIterable(source: object): source is Iterable<File> {
  return Symbol.iterator in source;
}

/** A model's files as texts: what tokenizers and chat templates are read from. */
export function asTextFiles(files: ModelFiles): TextFiles {
  return {
    name: files.name,
    async text(name) {
      const source = await files.file(name);
      return source === undefined ? undefined : new TextDecoder().decode(await source.read(0, await source.size()));
    },
  };
}
