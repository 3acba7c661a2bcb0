import type { ComparedMethod, StudyRun, StudyTrainer, StudyTraining, TrainingRules } from '@lowrank/study';
import type { Backend } from '@lowrank/tensor';
import { backendOnce } from '../device.js';
import type { BackendOrOpener } from '../device.js';
import { checkComparison, comparedMethods, defaultRates, trainingOf } from './comparedMethods.js';
import type { ComparedMethodName } from './comparedMethods.js';
import type { RowSelection } from '@lowrank/data';
import { evaluateTexts } from './evaluate.js';
import { evaluateTask, taskToEvaluate } from './evaluateTask.js';
import { withFolders } from './folders.js';
import { knownTask, requireTask, taskOf } from './openTask.js';
import { scoreNames } from '../tasks/task.js';
import { partsOfRows, readTaskRows, taskRecords } from '../tasks/taskRows.js';
import { fineTuneFolder } from './fineTune.js';
import type { FineTuneTraining } from './fineTuneTraining.js';
import { checkOptions } from '../settings/checkOptions.js';
import { meteredBackend } from './meteredBackend.js';
import { measureName } from './metricsOfRun.js';
import { studyTokenizer } from './studyTokenizer.js';

/** Trains the runs of a study with `fineTuneFolder`, and scores them with `evaluateFolder`. */
export function studyTrainer(given: BackendOrOpener): StudyTrainer {
  let open = backendOnce(given);
  return {
    open: async () => void (await open()),
    async replaceDevice() {
      if (typeof given !== 'function') return false;
      open = backendOnce(given);
      await open();
      return true;
    },
    async openSession() {
      const metered = meteredBackend(await open());
      const { backend } = metered;
      return {
        device: `${backend.name}, ${backend.description}`,
        get peakBytes() {
          return metered.peakBytes;
        },
        train: (run, hooks) => trainRun(run, backend, hooks),
        evaluate: (run, trained, hooks) => evaluateRun(run, backend, { trained, ...hooks }),
        check: () => backend.finish(),
        dispose: () => metered.release(),
      };
    },
  };
}

/** What `fineTuneFolder` says of options, for studies: which methods it has, and which options each takes. */
export const trainingRules: TrainingRules = {
  taskRows: studyTaskRows,
  methods: Object.fromEntries(comparedMethods.map((name) => [name, comparedMethod(name)])),
  checkTraining: (training) => checkOptions(training as FineTuneTraining),
  checkComparison: (methods, training) =>
    checkComparison(methods as readonly ComparedMethodName[], training as FineTuneTraining),
};

/** Rows of a task, each as the text that is asked, and what its answers are scored by. */
async function studyTaskRows(
  training: StudyTraining,
  { data, parts, ...selection }: RowSelection & { readonly data: string },
): ReturnType<NonNullable<TrainingRules['taskRows']>> {
  const { model, task: asked, problemType } = await withFolders(training as FineTuneTraining, {});
  const known = await knownTask({ model, task: asked });
  if (known.task === undefined && !known.isEncoder) return undefined;
  const records = await taskRecords(data, selection);
  const task = requireTask(taskOf(known, records), model);
  const rows = readTaskRows(task, records);
  const labels = task.labels(rows, known.labels, problemType);
  return {
    rows: partsOfRows(rows, parts).map(({ line, key }) => ({ line, text: key })),
    metrics: ['loss', ...scoreNames(task, labels)],
  };
}

function comparedMethod(name: ComparedMethodName): ComparedMethod {
  return {
    learningRates: defaultRates[name],
    isLora: name === 'lora' || name === 'qlora',
    trainingOf: (training) => trainingOf(name, training as FineTuneTraining) as StudyTraining,
  };
}

type Session = Awaited<ReturnType<StudyTrainer['openSession']>>;

async function trainRun(
  { training, folder }: StudyRun,
  backend: Backend,
  { signal, onStep, onWarning }: Parameters<Session['train']>[1],
): ReturnType<Session['train']> {
  let steps = 0;
  const trained = await fineTuneFolder({
    ...(training as FineTuneTraining),
    backend,
    tokenizer: await studyTokenizer(training.model),
    output: folder,
    // A run without an outcome, which is done again, may have saved.
    overwrite: true,
    samples: 0,
    signal,
    onEvent(event) {
      if (event.type === 'warning') onWarning?.(event.text);
      if (event.type === 'started') ({ steps } = event);
      if (event.type === 'step') onStep?.({ ...event, steps });
    },
  });
  if (trained.interrupted) return undefined;
  return {
    steps: trained.steps,
    finalLoss: trained.final_loss,
    trainedParameters: trained.trained_parameters,
    fileBytes: trained.file_bytes,
    adapter: trained.adapter,
    model: trained.model,
  };
}

async function evaluateRun(
  { training, scoring, folder }: StudyRun,
  backend: Backend,
  { trained, ...hooks }: { trained: Parameters<Session['evaluate']>[1] } & Parameters<Session['evaluate']>[2],
): ReturnType<Session['evaluate']> {
  const { quantization, doubleQuantization, quantizeEmbeddings, maxLength, template } = training as FineTuneTraining;
  const loaded = { quantization, doubleQuantization, quantizeEmbeddings };
  const { completionOnlyLoss, assistantOnlyLoss } = training as FineTuneTraining;
  const place =
    trained.model === null
      ? { model: training.model, adapter: trained.adapter ?? folder, ...loaded }
      : { model: trained.model };
  const asked = { ...scoring, ...place, task: (training as FineTuneTraining).task, onWarning: hooks.onWarning };
  if (await taskToEvaluate(asked)) {
    const evaluated = await evaluateTask({ ...asked, ...hooks, maxLength, backend });
    await backend.finish();
    const all: Readonly<Record<string, number>> = { loss: evaluated.loss, ...evaluated.scores };
    const scores = Object.fromEntries(
      (['loss', ...scoring.metrics] as const).map((name) => [name, all[measureName(name)] ?? NaN]),
    );
    return { loss: evaluated.loss, scores, prompts: evaluated.rows, tokens: evaluated.rows, texts: [] };
  }
  const { result, texts } = await evaluateTexts({
    ...scoring,
    ...place,
    ...hooks,
    maxLength,
    completionOnlyLoss,
    assistantOnlyLoss,
    template,
    tokenizer: await studyTokenizer(training.model),
    backend,
  });
  await backend.finish();
  const { loss, scores, prompts, tokens } = result;
  return { loss, scores, prompts, tokens, texts };
}
