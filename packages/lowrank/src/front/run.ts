import type { RowSource } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { MethodFiles, MethodName } from '@lowrank/methods';
import type { Evaluation, StoppedBy } from '@lowrank/trainer';
import type { SavePlace } from '../saveFolder.js';
import { saveFolder } from '../saveFolder.js';
import type { TrainedOrigin } from './originFiles.js';
import { originFilesToSave } from './originFiles.js';
import type { ReadingOptions, RunOptions, TrainingModel } from './runOptions.js';
import type { FinishedRun } from './runTraining.js';
import { trainedParametersOf } from './trainedParameters.js';
import type { TaskTraining } from './taskRun.js';

type EvaluationOptions = ReadingOptions & Pick<RunOptions, 'evalData'>;

/** A model that was trained: one that writes, or one with the head of a task. */
export interface TrainedModel extends TrainedOrigin {
  readonly name: string;
  readonly training: TrainingModel | TaskTraining;
  evaluate(data: RowSource, options?: EvaluationOptions): Promise<Evaluation>;
  /** Frees what was compiled over the weights as they were. */
  releasePlans(): Promise<void>;
}

/** A finished training, whose result is in the model and in use. {@link fineTune} makes it. */
export class Run {
  readonly method: MethodName;
  /** Optimizer steps taken. */
  readonly steps: number;
  /** Loss of the last step; undefined where none was taken. */
  readonly finalLoss: number | undefined;
  /** Of `evalData`, right after the training; undefined without it, and after a stop. */
  readonly evaluation: Evaluation | undefined;
  /** Numbers that were trained. */
  readonly trainedParameters: number;
  /** Tokens of all steps, prompts included and padding not. */
  readonly tokens: number;
  readonly seconds: number;
  /** Whether it was stopped before its last step. */
  readonly interrupted: boolean;
  readonly stoppedBy: StoppedBy;
  /** The step with the lowest loss of all evaluations on the way; undefined where there was none. */
  readonly bestStep: number | undefined;
  readonly #model: TrainedModel;
  readonly #finished: FinishedRun;
  readonly #options: EvaluationOptions;

  constructor(model: TrainedModel, finished: FinishedRun, options: EvaluationOptions) {
    const { steps, finalLoss, evaluation, tokens, seconds, interrupted, stoppedBy, bestStep } = finished.result;
    this.method = finished.method.name as MethodName;
    this.steps = steps;
    this.finalLoss = finalLoss;
    this.evaluation = evaluation;
    this.trainedParameters = trainedParametersOf(finished.applied);
    this.tokens = tokens;
    this.seconds = seconds;
    this.interrupted = interrupted;
    this.stoppedBy = stoppedBy;
    this.bestStep = bestStep;
    this.#model = model;
    this.#finished = finished;
    this.#options = options;
  }

  /**
   * The mean loss over the label tokens of rows, and of a task its scores as `measures`; default: those of `evalData`.
   * The model is taken as it is now.
   *
   * @throws LowrankError `lowrank.noRows` where there are none, and what reading them throws
   */
  async evaluate(data: RowSource | undefined = this.#options.evalData): Promise<Evaluation> {
    if (data === undefined)
      throw new LowrankError({
        code: 'lowrank.noRows',
        what: 'run.evaluate()',
        expected: 'rows to evaluate',
        got: 'none',
        remedy: 'Give them: run.evaluate(rows), or fineTune(model, { evalData }).',
      });
    return this.#model.evaluate(data, this.#options);
  }

  /** What was learned, as the files of a folder: PEFT's for adapters, a whole model's for `full`. */
  async files(): Promise<MethodFiles> {
    const { method, applied } = this.#finished;
    return originFilesToSave(this.#model, method, applied);
  }

  /**
   * Saves those files, all of them or none: into a folder (Node), or a folder of a browser (a string is one of the
   * origin's private file system).
   *
   * @throws LowrankError `files.notWritable`, `files.notWritten`
   */
  async save(place: SavePlace): Promise<void> {
    await saveFolder(place, await this.files());
  }

  /** Takes what was learned out of the model, which is then as it was before, and frees it. */
  async remove(): Promise<void> {
    await this.#model.releasePlans();
    this.#finished.applied.remove();
  }
}
