import { LowrankError } from '@lowrank/errors';
import type { FineTuneOptions } from '../front/fineTuneOptions.js';
import { fineTune } from '../front/fineTune.js';
import type { Model } from '../front/model.js';
import type { Run } from '../front/run.js';
import type { TaskedModel } from '../front/taskedModel.js';
import { EventCredit } from './backPressure.js';
import { given } from './given.js';
import type { OfferedTraining } from './offered.js';
import type { RemoteFineTuneOptions, RemoteRun } from './remote.js';
import { StepBorder } from './stepBorder.js';
import type { Turns } from './turns.js';

/** Begins a training in the model's turn; the page holds its reins. */
export function startTraining(
  model: Model | TaskedModel,
  options: RemoteFineTuneOptions,
  turns: Turns,
): OfferedTraining {
  const controller = new AbortController();
  const ends = [controller.signal, ...(options.signal === undefined ? [] : [options.signal])];
  const signal = AbortSignal.any(ends);
  const border = new StepBorder();
  signal.addEventListener('abort', () => border.resume(), { once: true });
  const finished = turns.train(border, async () => runCalls(await train(model, { ...options, signal }, border), turns));
  // The page asks for it; until then a failure is not unhandled.
  finished.catch(() => undefined);
  return {
    finished: () => finished,
    stop: () => controller.abort(),
    pause: () => (signal.aborted ? Promise.resolve(undefined) : border.pause()),
    resume: () => border.resume(),
  };
}

async function train(model: Model | TaskedModel, options: RemoteFineTuneOptions, border: StepBorder): Promise<Run> {
  const credit = new EventCredit((until) => border.during(until));
  const { onStep, onEvent, onCheckpoint, betweenSteps: asked, ...others } = options;
  const every = asked?.every;
  if (every !== undefined && typeof every !== 'number') throw everyIsNumber();
  const isAsked = (step: number): boolean => every !== undefined && step % every === 0;
  const betweenSteps: FineTuneOptions['betweenSteps'] = {
    every: (step) => border.isWanted || isAsked(step),
    async run(at) {
      if (asked !== undefined && isAsked(at.step))
        await border.during(Promise.resolve(asked.run({ ...at, files: () => given(at.files()) })));
      await border.stand(at.step);
    },
  };
  const run = await fineTune(model, {
    ...others,
    betweenSteps,
    onStep: onStep && ((event) => credit.send(onStep, event)),
    onEvent: onEvent && ((event) => credit.send(onEvent, event)),
    onCheckpoint: onCheckpoint && ((state) => border.during(Promise.resolve(onCheckpoint(state)))),
  });
  await credit.settle();
  return run;
}

/** A finished run for the page: its numbers and its calls. */
function runCalls(run: Run, turns: Turns): RemoteRun {
  const { method, steps, finalLoss, evaluation, trainedParameters, tokens, seconds } = run;
  const { interrupted, stoppedBy, bestStep } = run;
  const learned = { method, steps, finalLoss, evaluation, trainedParameters, tokens, seconds };
  return {
    ...learned,
    interrupted,
    stoppedBy,
    bestStep,
    evaluate: (data) => turns.read(() => run.evaluate(data)),
    files: () => turns.read(() => given(run.files())),
    save: (place) => turns.read(() => run.save(place)),
    remove: () => turns.change('remove', () => run.remove()),
  };
}

function everyIsNumber(): LowrankError {
  return new LowrankError({
    code: 'lowrank.option',
    what: 'the option betweenSteps.every',
    expected: 'a number of steps: training does not wait for another thread to decide',
    got: 'a function',
    setting: 'betweenSteps',
  });
}
