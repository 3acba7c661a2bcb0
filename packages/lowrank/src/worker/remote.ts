import type { LowrankError } from '@lowrank/errors';
import type { DeviceName } from '../device.js';
import type { fineTune } from '../front/fineTune.js';
import type { BetweenFineTuneSteps, FineTuneOptions } from '../front/fineTuneOptions.js';
import type { loadModel, LoadModelOptions, LoadTaskOptions } from '../front/loadModel.js';
import type { Model } from '../front/model.js';
import type { ModelSource } from '../front/modelSource.js';
import type { Run } from '../front/run.js';
import type { TaskedModel } from '../front/taskedModel.js';
import type { TextPieces } from '../front/textPieces.js';
import type { Fit, FitOptions } from '../storage/checkFit.js';
import type { LowrankStorage } from '../storage/openStorage.js';

// The types of what runs in the worker derive from those of the front door: a call that is added there is missing here
// when this is compiled, in the worker (modelCalls.ts) and on the page (remoteModel.ts) alike.

type Callable = (...args: never[]) => unknown;

/** A call as it is from another thread: a promise, but for texts, which arrive in pieces as ever. */
type RemoteCall<Call> = Call extends (...args: infer Args) => infer Result
  ? (...args: Args) => Result extends TextPieces ? TextPieces : Promise<Awaited<Result>>
  : never;

/** The methods of an object on another thread. */
export type Remote<T, Local extends keyof T = never> = {
  readonly [Name in keyof T as Name extends Local ? never : T[Name] extends Callable ? Name : never]: RemoteCall<
    T[Name]
  >;
};

/** What a page can see of the device that a model is on. */
export interface RemoteDevice {
  /** `webgpu` or `cpu`. */
  readonly name: string;
  /** For people. */
  readonly description: string;
}

/** A {@link Model} in the worker: its calls, and what stays as it is. */
export interface RemoteModel extends Remote<Model, 'releasePlans'> {
  /** The source as it was given: a folder, a hub id, a URL. */
  readonly name: string;
  readonly device: RemoteDevice;
  /** Whether `chat` works: base models have no chat template. */
  readonly hasTemplate: boolean;
  /** Tokens of a prompt and its answer that the model's positions hold, without virtual tokens. */
  contextLength(): Promise<number>;
}

/** A {@link TaskedModel} in the worker: what it says of texts or images, and how well. */
export interface RemoteTaskedModel extends Remote<TaskedModel>, Pick<TaskedModel, 'name' | 'task' | 'labels'> {
  readonly device: RemoteDevice;
}

type RunValues = Omit<Run, keyof Remote<Run>>;

/** A {@link Run} in the worker: its numbers, which are here, and its calls. */
export interface RemoteRun extends RunValues, Remote<Run> {}

/** See {@link FineTuneOptions.betweenSteps}. */
export interface RemoteBetweenSteps extends Omit<BetweenFineTuneSteps, 'every'> {
  /** After every so many steps. */
  readonly every: number;
}

/** Those of {@link fineTune}. Functions among them are called on this thread. */
export interface RemoteFineTuneOptions extends Omit<FineTuneOptions, 'betweenSteps'> {
  readonly betweenSteps?: RemoteBetweenSteps | undefined;
}

/** Those of {@link loadModel}; the device is one of the worker's. */
export interface RemoteLoadOptions extends Omit<LoadModelOptions, 'device'> {
  readonly device?: DeviceName | undefined;
}

/** Those of {@link loadModel} for a task; the device is one of the worker's. */
export interface RemoteLoadTaskOptions extends Omit<LoadTaskOptions, 'device'> {
  readonly device?: DeviceName | undefined;
}

/** A training under way in the worker: await it for the finished {@link RemoteRun}. */
export interface RemoteFineTuning extends Promise<RemoteRun> {
  /** Finishes the current step; the run keeps what was learned by then. */
  stop(): void;
  /**
   * Stands still after the current step, with the model free to be used, until {@link resume} or {@link stop}.
   *
   * @returns the step; undefined where the training ended first
   */
  pause(): Promise<number | undefined>;
  resume(): void;
}

/**
 * What the front door does in a worker; a test compares it with the front door's exports. (As `typeof` its module it
 * would make declarations that no compiler takes.)
 */
interface FrontDoor {
  fineTune: typeof fineTune;
  loadModel: typeof loadModel;
}

/** The calls of the front door that take and give plain data, and cross as they are. */
export type PlainCalls = Remote<Omit<FrontDoor, 'loadModel' | 'fineTune'>>;

/** The storage of this origin through a worker, so that none of it is part of the page. */
export type RemoteStorage = Remote<LowrankStorage>;

/** The front door through a worker. {@link startTrainer} makes it. */
export interface Trainer extends PlainCalls {
  /** As {@link loadModel}: onto a device of the worker's, which the page's frames do not wait for. */
  loadModel(source: ModelSource, options: RemoteLoadTaskOptions): Promise<RemoteTaskedModel>;
  loadModel(source: ModelSource, options?: RemoteLoadOptions): Promise<RemoteModel>;
  /** As {@link fineTune}, and can be paused. */
  fineTune(model: RemoteModel | RemoteTaskedModel, options: RemoteFineTuneOptions): RemoteFineTuning;
  /** `openStorage` of `lowrank/storage`. @throws LowrankError `storage.unavailable` */
  openStorage(): Promise<RemoteStorage>;
  /** `checkFit` of `lowrank/storage`. */
  checkFit(source: ModelSource, options?: FitOptions): Promise<Fit>;
  /** Resolves when the worker is gone: with the error that every call got, or undefined after {@link dispose}. */
  readonly closed: Promise<LowrankError | undefined>;
  /** Ends the worker, and with it frees models, runs and the device. Calls that wait are rejected: `worker.closed`. */
  dispose(): void;
}
