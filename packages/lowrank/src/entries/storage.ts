export { checkFit } from '../storage/checkFit.js';
export type { Fit, FitOptions } from '../storage/checkFit.js';
export { openStorage } from '../storage/openStorage.js';
export type { LowrankStorage } from '../storage/openStorage.js';
export type { StorageState, StorageWarning } from '../storage/storageState.js';
export type { KeepModelOptions, StoredModel } from '../storage/storedModels.js';
export type { StoredRun } from '../storage/storedRuns.js';
export type { ListedRun } from '../runs/listRuns.js';
export type { ModelSource } from '../front/modelSource.js';
