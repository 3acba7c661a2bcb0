import type { FolderSaving, OutputClaim } from '@lowrank/files';
import type { AppliedMethod, Method, MethodFiles } from '@lowrank/methods';
import { configText } from './configText.js';
import type { OpenTask } from './jobs/openTask.js';
import type { ModelFiles, TextModel } from '@lowrank/models';
import { isResized } from '@lowrank/nn';
import { withVocabulary } from '@lowrank/methods';
import { companionFiles, openModelWeights } from '@lowrank/models';

/**
 * Where a folder is saved: a path (in a browser one of the origin's private file system), or a folder that a person
 * picked.
 */
export type SavePlace = string | FileSystemDirectoryHandle;

/** What was trained, and the files that it came from. */
interface SavedOrigin {
  readonly files: ModelFiles | undefined;
  readonly module: TextModel;
  /** Those of the tokenizer, where it is not the model's own any more. */
  readonly tokenizer?: Readonly<Record<string, string>> | undefined;
  /** What the model is for, where it does not write text. */
  readonly task?: OpenTask['task'] | undefined;
  readonly labels?: OpenTask['labels'] | undefined;
}

/**
 * The files of what a method has learned, by name; with full fine-tuning those of a model folder, for which the
 * tokenizer and the configuration come from the files that the model was loaded from.
 */
export async function filesToSave(
  method: Method,
  applied: AppliedMethod,
  { files: origin, module, tokenizer = {}, task, labels }: SavedOrigin,
): Promise<MethodFiles> {
  const written = { ...method.write(await applied.extract()), ...tokenizer };
  const made = task === undefined || labels === undefined ? undefined : { task, labels };
  const tasks = made && (await import('./jobs/openTask.js'));
  const files = { ...(method.saves === 'adapter' && made && tasks?.taskFile(made)), ...written };
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
  const named = made && tasks ? tasks.taskConfig(config, made) : config;
  const resized = isResized(module) ? withVocabulary(named, module.shape.vocabularySize) : named;
  if (ownOutput || resized !== config) {
    const own = copied['config.json'];
    copied['config.json'] = configText(resized, own instanceof Uint8Array ? new TextDecoder().decode(own) : '');
  }
  return { ...copied, ...files };
}

/**
 * Saves a folder whole or not at all: a reader finds the files of one saving, whatever happens meanwhile.
 *
 * Files of those names are replaced, as PEFT's and transformers' `save_pretrained` do; others stay.
 *
 * @param claim where the caller has claimed the folder
 * @throws LowrankError `files.notWritable`, `files.notWritten`, `files.locked`, `storage.quota`
 */
export async function saveFolder(
  place: SavePlace,
  files: MethodFiles,
  claim?: Pick<OutputClaim, 'beginSaving'>,
): Promise<void> {
  const first = Object.hasOwn(files, 'adapter_config.json') ? 'adapter_config.json' : 'config.json';
  const { beginSaving, isOutputFile, placeOf, saveTogether } = await import('@lowrank/files');
  const begin = async (): Promise<FolderSaving> => {
    const { disk, path } = await placeOf(place);
    return beginSaving(path, { first, replaces: isShard, disk });
  };
  await saveTogether(claim?.beginSaving(first, isOutputFile) ?? begin(), async (saving) => {
    for (const [name, content] of Object.entries(files)) await saving.write(name, content);
  });
}

/** Shards of a model that was saved here before would be read together with this one. */
function isShard(name: string): boolean {
  return /^model-\d+-of-\d+\.safetensors$/.test(name) || name === 'model.safetensors.index.json';
}
