export { distribute } from './distribute.js';
export type {
  DistributeEvent,
  DistributeOptions,
  DistributeSummary,
  DistributedRun,
  RunFiles,
  RunOutcome,
} from './distribute.js';
export type { RunError } from './envelope.js';
export type { FilesLeft } from './files.js';
export { checkUrl as redactQueueUrl } from './redis.js';
export { defaultTiming } from './settings.js';
export type { Timing } from './settings.js';
export { work } from './work.js';
export type { RunContext, RunResult, WorkEvent, WorkOptions, WorkSummary } from './work.js';
