import type { FineTuneOptions } from './fineTune.js';

/** The options of `fineTune` that are plain JSON: those that are neither functions nor places of this process. */
export type FineTuneTraining = Omit<
  FineTuneOptions,
  'backend' | 'tokenizer' | 'output' | 'evalData' | 'execution' | 'signal' | 'onEvent' | 'onTransfer'
>;
