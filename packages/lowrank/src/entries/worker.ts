export { isLowrankError, LowrankError } from '@lowrank/errors';
export { startTrainer } from '../worker/startTrainer.js';
export type { TrainerOptions } from '../worker/startTrainer.js';
export type {
  RemoteBetweenSteps,
  RemoteDevice,
  RemoteFineTuneOptions,
  RemoteFineTuning,
  RemoteLoadOptions,
  RemoteModel,
  RemoteRun,
  Trainer,
} from '../worker/remote.js';
