import { textPieces } from '../front/textPieces.js';
import type { OfferedModel, OfferedTraining, Received, TextRequest } from './offered.js';
import type { RemoteFineTuneOptions, RemoteFineTuning, RemoteModel, RemoteRun } from './remote.js';

const trainings = new WeakMap<RemoteModel, Received<OfferedModel>['fineTune']>();

/** A model of the worker's, as the page has it. */
export function remoteModel({ write, fineTune, ...calls }: Received<OfferedModel>): RemoteModel {
  const texts = (request: TextRequest): ReturnType<RemoteModel['generate']> =>
    textPieces(async (push, left) => {
      const { signal } = request.options;
      const either = signal === undefined ? left : AbortSignal.any([signal, left]);
      await write({ ...request, options: { ...request.options, signal: either } }, push);
    });
  const model: RemoteModel = {
    ...calls,
    generate: (prompt, options = {}) => texts({ prompt, options }),
    chat: (messages, options = {}) => texts({ messages, options }),
    generateBatch: (prompts, options = {}) =>
      calls.generateBatch(prompts, { ...options, onToken: unanswered(options.onToken) }),
  };
  trainings.set(model, fineTune);
  return model;
}

/** A listener that the other thread does not wait for, whatever it returns. */
export function unanswered<Args extends unknown[]>(
  listener: ((...args: Args) => void) | undefined,
): ((...args: Args) => void) | undefined {
  return listener && ((...args) => void listener(...args));
}

export function fineTuneRemotely(model: RemoteModel, options: RemoteFineTuneOptions): RemoteFineTuning {
  const begin = trainings.get(model);
  const training: Promise<Received<OfferedTraining>> =
    begin === undefined ? Promise.reject(new TypeError('fineTune: a model of this trainer')) : begin(options);
  const finished = training.then(async ({ finished: end }): Promise<RemoteRun> => end());
  const tell = (what: 'stop' | 'resume'): void => {
    // What went wrong the awaited training says.
    training.then((reins) => reins[what]()).catch(() => undefined);
  };
  return Object.assign(finished, {
    stop: () => tell('stop'),
    resume: () => tell('resume'),
    pause: async () => (await training).pause(),
  });
}
