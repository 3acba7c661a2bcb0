import type { OutputClaim } from '@lowrank/files';
import type { AppliedMethod, Method, MethodFiles } from '@lowrank/methods';
import type { CausalModel, ModelFiles } from '@lowrank/models';
import { isResized } from '@lowrank/nn';
import { withVocabulary } from '@lowrank/methods';
import { companionFiles, openModelWeights } from '@lowrank/models';

/** Where a folder is saved: a path (Node), or a folder of a browser, picked or of the origin's private file system. */
export type SavePlace = string | FileSystemDirectoryHandle;

/** What was trained, and the files that it came from. */
interface SavedOrigin {
  readonly files: ModelFiles | undefined;
  readonly module: CausalModel;
  /** Those of the tokenizer, where it is not the model's own any more. */
  readonly tokenizer?: Readonly<Record<string, string>> | undefined;
}

/**
 * The files of what a method has learned, by name; with full fine-tuning those of a model folder, for which the
 * tokenizer and the configuration come from the files that the model was loaded from.
 */
export async function filesToSave(
  method: Method,
  applied: AppliedMethod,
  { files: origin, module, tokenizer = {} }: SavedOrigin,
): Promise<MethodFiles> {
  const files = { ...method.write(await applied.extract()), ...tokenizer };
  if (method.saves === 'adapter' || origin === undefined) return files;
  const copied: Record<string, Uint8Array | string> = {};
  // An earlier saving may have gone into the model's own folder.
  const from = (await origin.reopen?.()) ?? origin;
  for (const name of ['config.json', ...companionFiles]) {
    const source = await from.file(name);
    if (source !== undefined) copied[name] = new Uint8Array(await source.read(0, await source.size()));
  }
  const { config, ownOutput } = await openModelWeights(from);
  // Its configuration says tied, and its weights say otherwise: what is saved says what it is.
  const resized = isResized(module) ? withVocabulary(config, module.shape.vocabularySize) : config;
  if (ownOutput || resized !== config) copied['config.json'] = `${JSON.stringify(resized, null, 2)}\n`;
  return { ...copied, ...files };
}

/**
 * Saves a folder whole or not at all (Node): a reader finds the files of one saving, whatever happens meanwhile. In a
 * browser each file is whole or not there, and the configuration comes last.
 *
 * Files of those names are replaced, as PEFT's and transformers' `save_pretrained` do; others stay.
 *
 * @param claim where the caller has claimed the folder
 * @throws LowrankError `files.notWritable`, `files.notWritten`, `files.locked`
 */
export async function saveFolder(
  place: SavePlace,
  files: MethodFiles,
  claim?: Pick<OutputClaim, 'beginSaving'>,
): Promise<void> {
  const first = Object.hasOwn(files, 'adapter_config.json') ? 'adapter_config.json' : 'config.json';
  if (typeof place !== 'string') return writeInBrowser(place, files, first);
  if (typeof process === 'undefined') return writeInBrowser(await originFolder(place), files, first);
  const { beginSaving, isOutputFile, saveTogether } = await import('@lowrank/files');
  const begun = claim?.beginSaving(first, isOutputFile) ?? beginSaving(place, { first, replaces: isShard });
  await saveTogether(begun, async (saving) => {
    for (const [name, content] of Object.entries(files)) await saving.write(name, content);
  });
}

/** Shards of a model that was saved here before would be read together with this one. */
function isShard(name: string): boolean {
  return /^model-\d+-of-\d+\.safetensors$/.test(name) || name === 'model.safetensors.index.json';
}

async function writeInBrowser(folder: FileSystemDirectoryHandle, files: MethodFiles, first: string): Promise<void> {
  const names = Object.keys(files).filter((name) => name !== first);
  for (const name of Object.hasOwn(files, first) ? [...names, first] : names) {
    const file = await folder.getFileHandle(name, { create: true });
    const writable = await file.createWritable();
    const content = files[name] ?? new Uint8Array();
    if (typeof content === 'string') await writable.write(content);
    else
      for await (const chunk of content instanceof Uint8Array ? [content] : content)
        await writable.write(new Uint8Array(chunk));
    await writable.close();
  }
}

/** A path in a page is one in the origin's private file system. */
async function originFolder(path: string): Promise<FileSystemDirectoryHandle> {
  let folder = await navigator.storage.getDirectory();
  for (const name of path.split('/').filter((part) => part !== '' && part !== '.'))
    folder = await folder.getDirectoryHandle(name, { create: true });
  return folder;
}
