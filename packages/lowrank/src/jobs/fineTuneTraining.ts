import type { FolderOptions } from '../settings/methodTables.js';
import type { FineTuneFolderOptions } from './fineTuneOptions.js';

/** The options of `fineTune` that are plain JSON: those that are neither functions nor places of this process. */
export type FineTuneTraining = Omit<
  FineTuneFolderOptions,
  | 'backend'
  | 'tokenizer'
  | 'output'
  | 'evalData'
  | 'execution'
  | 'signal'
  | 'onEvent'
  | 'onTransfer'
  | keyof FolderOptions
>;
