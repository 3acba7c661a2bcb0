import type { TextFiles } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { ModelFiles } from '@lowrank/models';
import { filesFrom, openDirectory } from '@lowrank/models';
import type { FoundFiles, SourceOptions } from './foundFiles.js';

/**
 * Where a model or an adapter is: a folder (Node), a hub id such as `HuggingFaceTB/SmolLM2-135M-Instruct` (with
 * `@revision` where it is not main's), the URL of a folder, files that a person picked or dropped, a folder of a
 * browser (picked, or of the origin's private file system), or {@link ModelFiles} of your own. A model may also be a
 * GGUF file of llama.cpp: its path, its URL, `owner/name/file.gguf` on the hub, or a picked file.
 */
export type ModelSource = string | Iterable<File> | FileSystemDirectoryHandle | ModelFiles;

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
  if (typeof source === 'string') return (await import('./namedSource.js')).findNamed(source, kind, options);
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
