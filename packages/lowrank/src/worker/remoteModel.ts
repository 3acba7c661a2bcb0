import { LowrankError } from '@lowrank/errors';
import { textPieces } from '../front/textPieces.js';
import type { OfferedModel, OfferedTaskedModel, OfferedTraining, Received, TextRequest } from './offered.js';
import type { RemoteFineTuneOptions, RemoteFineTuning, RemoteModel, RemoteRun, RemoteTaskedModel } from './remote.js';

/** How a training of the model begins: on the object itself, so that a copy of it or a framework's proxy has it too. */
const begin = Symbol('lowrank.fineTune');

interface Trainable {
  readonly [begin]?: Received<OfferedModel>['fineTune'];
}

/** A model of the worker's, as the page has it. */
export function remoteModel({ write, fineTune, ...calls }: Received<OfferedModel>): RemoteModel {
  const texts = (request: TextRequest): ReturnType<RemoteModel['generate']> =>
    textPieces(async (push, left) => {
      const { signal } = request.options;
      const either = signal === undefined ? left : AbortSignal.any([signal, left]);
      await write({ ...request, options: { ...request.options, signal: either } }, push);
    });
  const model: RemoteModel & Trainable = {
    ...calls,
    [begin]: fineTune,
    generate: (prompt, options = {}) => texts({ prompt, options }),
    chat: (messages, options = {}) => texts({ messages, options }),
    generateBatch: (prompts, options = {}) =>
      calls.generateBatch(prompts, { ...options, onToken: unanswered(options.onToken) }),
  };
  return model;
}

/** A model with the head of a task, as the page has it. */
export function remoteTaskedModel({ fineTune, ...calls }: Received<OfferedTaskedModel>): RemoteTaskedModel {
  const model: RemoteTaskedModel & Trainable = { ...calls, [begin]: fineTune };
  return model;
}

/** A listener that the other thread does not wait for, whatever it returns. */
export function unanswered<Args extends unknown[]>(
  listener: ((...args: Args) => void) | undefined,
): ((...args: Args) => void) | undefined {
  return (
    listener &&
    ((...args) => {
      listener(...args);
    })
  );
}

export function fineTuneRemotely(
  model: RemoteModel | RemoteTaskedModel,
  options: RemoteFineTuneOptions,
): RemoteFineTuning {
  const { [begin]: start } = model as Trainable;
  const training: Promise<Received<OfferedTraining>> =
    start === undefined ? Promise.reject(notOfTrainer(model)) : start(options);
  const { signal } = options;
  const finished = training.then(async ({ finished: end, stop }): Promise<RemoteRun> => {
    // The signal itself goes over with the call, which has its answer when the training has begun.
    const onAbort = (): void => void stop().catch(() => undefined);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    return end().finally(() => signal?.removeEventListener('abort', onAbort));
  });
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

function notOfTrainer(model: unknown): LowrankError {
  return new LowrankError({
    code: 'worker.model',
    what: 'trainer.fineTune()',
    expected: 'a model that trainer.loadModel() gave',
    got: typeof model === 'object' ? 'another one' : typeof model,
    remedy: 'Load it with trainer.loadModel(), or train a model of this thread with fineTune() of lowrank.',
  });
}
