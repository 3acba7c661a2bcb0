import { LowrankError } from '@lowrank/errors';
import type { RemoteFineTuneOptions, RemoteRun } from './remote.js';
import type { WiredError } from './wiredError.js';

// What tabs that share a trainer have in common: a Web Lock, which the tab that trains holds, and a BroadcastChannel.

/** Whatever happens in a training, as `onEvent` of `fineTune` gets it. */
export type TrainingEvent = Parameters<NonNullable<RemoteFineTuneOptions['onEvent']>>[0];

/** The numbers of a run, without its calls. */
export type RunNumbers = {
  readonly [
    Name in keyof RemoteRun as RemoteRun[Name] extends (...args: never[]) => unknown ? never : Name
  ]: RemoteRun[Name];
};

/** How a training ended. */
export type TrainingEnd =
  | { readonly run: RunNumbers; readonly error?: undefined }
  | { readonly run?: undefined; readonly error: WiredError };

/** From the tab that trains. */
export type LeaderMessage =
  /** To one watcher, or to all: where things stand, and the events of the training so far. */
  | {
      readonly type: 'state';
      readonly to: string | undefined;
      readonly isTraining: boolean;
      readonly events: readonly TrainingEvent[];
    }
  | { readonly type: 'events'; readonly events: readonly TrainingEvent[] }
  | { readonly type: 'began' }
  | { readonly type: 'ended'; readonly end: TrainingEnd };

/** From a tab that watches. */
export type WatcherMessage =
  | { readonly type: 'who'; readonly from: string }
  | { readonly type: 'ask'; readonly what: 'stop' | 'pause' | 'resume' };

export const nameInTabs = (name: string): string => `lowrank-trainer:${name}`;

/** @throws LowrankError `worker.tabs` where tabs cannot know of each other */
export function requireTabs(): LockManager {
  const locks = (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;
  if (locks !== undefined && typeof BroadcastChannel === 'function') return locks;
  throw new LowrankError({
    code: 'worker.tabs',
    what: 'a trainer that tabs share',
    expected: 'Web Locks and BroadcastChannel',
    got: 'a place without them',
    remedy: 'Serve the page over https or from localhost.',
  });
}
