import type { HubId, ModelCache } from '@lowrank/models';
import { downloadModel, ggufFiles, isGgufName, openFolder, originCache, parseHubId, remoteGguf } from '@lowrank/models';
import { webAddress } from '@lowrank/safetensors';
import { modelFolder } from '../storage/places.js';
import type { FoundFiles, SourceOptions } from './foundFiles.js';

/** A folder or a file of the origin's private file system, or what is downloaded into it. */
export async function findInOrigin(text: string, { onDownload, ...options }: SourceOptions): Promise<FoundFiles> {
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
