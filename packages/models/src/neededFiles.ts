import { companionFiles } from './files.js';

/** What a folder of a model or an adapter may hold besides its weights. */
export const companions: readonly string[] = [
  'config.json',
  ...companionFiles,
  'chat_template.json',
  'adapter_config.json',
];

/** Weights: the index of shards is asked for before the single file, which then is not. */
export const weights = {
  index: 'model.safetensors.index.json',
  singles: ['model.safetensors', 'adapter_model.safetensors'],
  /** Looked for, never downloaded: errors say that there is nothing else. */
  pickles: ['pytorch_model.bin', 'adapter_model.bin'],
};

/** All names that are asked for below a URL, where nothing lists a folder. */
export const askedNames: readonly string[] = [...companions, weights.index, ...weights.singles];

const fixedNames: ReadonlySet<string> = new Set([...askedNames, ...weights.pickles]);

/** Whether Lowrank may need a file of a repository's root folder; all others, whatever their names, are passed over. */
export const isNeeded = (name: string): boolean => fixedNames.has(name) || isShardName(name);

export const isShardName = (name: string): boolean => /^[\w-][\w.-]*\.safetensors$/.test(name);

/** Bytes of the largest file other than weights; the largest published tokenizers have some 40 MB. */
export const largestCompanion = 256 * 2 ** 20;

/** Shards of the largest published models are some hundreds. */
export const mostShards = 5000;
