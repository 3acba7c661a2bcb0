import { LowrankError, parseJson, shown } from '@lowrank/errors';
import type { ByteSource, SafetensorsFile } from '@lowrank/safetensors';
import type { Disk } from '@lowrank/files/reading';
import {
  blobSource,
  checkRange,
  fileSource,
  isLfsPointer,
  lfsPointer,
  openSafetensors,
  openSharded,
} from '@lowrank/safetensors';
import { isGgufName } from './ggufName.js';

/**
 * Files of a Hugging Face folder that go with the weights, as far as they are there; config.json is a file of its own
 * kind.
 */
export const companionFiles: readonly string[] = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'tokenizer.model',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
  'generation_config.json',
  'preprocessor_config.json',
];

/** The files of a model or an adapter, wherever they are: a folder, files that a person picked, a hub. */
export interface ModelFiles {
  /** For errors. */
  readonly name: string;
  /** A file by its name; undefined when there is none. */
  file(name: string): Promise<ByteSource | undefined>;
  /** Its weights, where they are not in safetensors files. */
  weights?(): Promise<SafetensorsFile>;
  /** What its files say that is not followed. */
  readonly warnings?: readonly string[];
  /** The same place as it is now, where it is one that may have been written anew since. */
  reopen?(): Promise<ModelFiles>;
}

/**
 * A folder on disk, or in a browser of the origin's private file system; or a GGUF file there, which stands for one.
 * A folder's files are those of one saving: where another process or tab saves into it meanwhile, asking for the next
 * file is an error.
 *
 * @throws LowrankError `models.noFolder`; later `files.changed`
 */
export async function openFolder(path: string, disk?: Disk): Promise<ModelFiles> {
  const { ownDisk, viewFolder } = await import('@lowrank/files/reading');
  const own = disk ?? ownDisk;
  const found = await own.stat(path);
  if (found?.kind === 'file' && isGgufName(path)) {
    const { ggufFiles } = await import('./ggufFiles.js');
    const source = own.renamesFolders ? fileSource(path) : await diskSource(path, own);
    return { ...(await ggufFiles(source, path)), reopen: () => openFolder(path, disk) };
  }
  if (found?.kind !== 'folder') {
    throw new LowrankError({
      code: 'models.noFolder',
      what: path,
      expected: 'a folder with config.json and safetensors files',
      got: found === undefined ? 'nothing there' : 'a file',
      remedy: 'Check the path.',
    });
  }
  const view = await viewFolder(path, own);
  return {
    name: path,
    async file(name) {
      const full = await view.locate(name);
      if (full === undefined) return undefined;
      const source = own.renamesFolders ? fileSource(full, () => view.locate(name)) : await diskSource(full, own);
      // Which file it is is settled from here on.
      await source.size();
      await view.check();
      return source;
    },
    reopen: () => openFolder(path, disk),
  };
}

/** A file of a browser's storage: its length is that of the moment in which it was opened. */
async function diskSource(path: string, disk: Disk): Promise<ByteSource> {
  const size = (await disk.stat(path))?.bytes ?? 0;
  return {
    name: path,
    size: () => Promise.resolve(size),
    async read(start, end) {
      checkRange(path, { start, end, size });
      const bytes = await disk.read(path, start, end);
      checkRange(path, { start, end, size: start + bytes.length });
      return bytes;
    },
  };
}

/** Files by name, as a file input or a drop gives them (browser). */
export function filesFrom(files: Iterable<File>, name = 'the picked files'): ModelFiles {
  const byName = new Map([...files].map((file) => [file.name, file]));
  const gguf = [...byName.values()].find((file) => isGgufName(file.name));
  if (gguf !== undefined && !byName.has('config.json')) return laterFiles(gguf.name, blobSource(gguf));
  return {
    name,
    file(wanted) {
      const file = byName.get(wanted);
      return Promise.resolve(file === undefined ? undefined : blobSource(file, wanted));
    },
  };
}

/** Byte sources by name: for anything else, a network or an archive. */
export function filesBy(sources: Readonly<Record<string, ByteSource>>, name: string): ModelFiles {
  return { name, file: (wanted) => Promise.resolve(Object.hasOwn(sources, wanted) ? sources[wanted] : undefined) };
}

/** @throws LowrankError `models.noFile` */
export async function requireFile(files: ModelFiles, name: string): Promise<ByteSource> {
  const source = await files.file(name);
  if (source !== undefined) return source;
  throw new LowrankError({
    code: 'models.noFile',
    what: `${files.name}/${name}`,
    expected: 'this file',
    got: 'none',
    remedy: 'Download or copy the whole folder.',
  });
}

/** @throws LowrankError `models.noFile`, `models.json` */
export async function readJson(files: ModelFiles, name: string): Promise<Record<string, unknown>> {
  const source = await requireFile(files, name);
  const bytes = await source.read(0, await source.size());
  const text = new TextDecoder().decode(bytes);
  const fail = (got: string): never => {
    throw new LowrankError({
      code: 'models.json',
      what: `${files.name}/${name}`,
      expected: 'a JSON object',
      got,
      remedy: 'Download the file again.',
    });
  };
  try {
    const value: unknown = parseJson(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : fail(shown(value, 40));
  } catch (error) {
    if (error instanceof SyntaxError && isLfsPointer(bytes)) throw lfsPointer(`${files.name}/${name}`);
    if (error instanceof SyntaxError) return fail(error.message.slice(0, 200));
    throw error;
  }
}

/** A GGUF file's files, opened when the first is asked for. */
function laterFiles(name: string, source: ByteSource): ModelFiles {
  let opened: Promise<ModelFiles> | undefined;
  const open = (): Promise<ModelFiles> =>
    (opened ??= import('./ggufFiles.js').then(({ ggufFiles }) => ggufFiles(source, name)));
  return {
    name,
    file: async (wanted) => (await open()).file(wanted),
    weights: async () => openWeights(await open()),
  };
}

/** model.safetensors, or the shards of model.safetensors.index.json, as one. */
export async function openWeights(files: ModelFiles): Promise<SafetensorsFile> {
  if (files.weights !== undefined) return files.weights();
  const single = await files.file('model.safetensors');
  if (single !== undefined) return openSafetensors(single);
  const index = await files.file('model.safetensors.index.json');
  if (index !== undefined) return openSharded({ index, shard: (name) => requireFile(files, name) });
  const pickle = await files.file('pytorch_model.bin');
  throw new LowrankError({
    code: 'models.noFile',
    what: files.name,
    expected: 'model.safetensors or model.safetensors.index.json',
    got: pickle === undefined ? 'neither' : 'pytorch_model.bin, a pickle',
    remedy:
      pickle === undefined
        ? 'Download or copy the whole folder.'
        : 'Convert it to safetensors: a pickle can run code when it is read.',
  });
}
