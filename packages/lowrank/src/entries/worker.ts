export { isLowrankError, LowrankError } from '@lowrank/errors';
export { startTrainer } from '../worker/startTrainer.js';
export type { TrainerOptions } from '../worker/startTrainer.js';
export type {
  RemoteBetweenSteps,
  RemoteDevice,
  RemoteFineTuneOptions,
  RemoteFineTuning,
  RemoteLoadOptions,
  RemoteLoadTaskOptions,
  RemoteModel,
  RemoteRun,
  RemoteStorage,
  RemoteTaskedModel,
  Trainer,
} from '../worker/remote.js';
export { watchTrainer } from '../worker/watchTrainer.js';
export type { TrainerWatch, WatchedState, WatchOptions } from '../worker/watchTrainer.js';
export type { RunNumbers, TrainingEvent } from '../worker/tabs.js';
