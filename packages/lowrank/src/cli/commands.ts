import type { Backend } from '@lowrank/tensor';
import type { RolledBackEvent, SkippedEvent } from '@lowrank/trainer';
import { chooseBackend } from '../device.js';
import type { BackendNeeds, DeviceChoices, DeviceName } from '../device.js';
import { examine } from '../jobs/doctor.js';
import { evaluateFolder } from '../jobs/evaluate.js';
import { evaluatePreferences } from '../jobs/evaluatePreferences.js';
import { evaluateTask, taskToEvaluate } from '../jobs/evaluateTask.js';
import type { EvaluateFolderResult } from '../jobs/evaluate.js';
import { fineTuneFolder } from '../jobs/fineTune.js';
import type { FineTuneResult } from '../jobs/fineTune.js';
import type { BatchReducedEvent, DeviceLostEvent, FineTuneEvent, ResumedEvent } from '../jobs/fineTuneOptions.js';
import { checkpointName } from '../runs/checkpointFolders.js';
import type { TransferEvents } from '../jobs/folders.js';
import { checkLabels } from '../jobs/scoreLabels.js';
import { mergeFolders } from '../jobs/merge.js';
import { taskNames } from '../tasks/task.js';
import { format, metricTitles } from '@lowrank/study';
import type { RunSample } from '@lowrank/study';
import type { MetricName } from '@lowrank/data';
import { evaluationMetrics, metricsOf, skippedMetrics } from '../metricsFile.js';
import { checkLoss } from '../settings/checkOptions.js';
import { combineCommand } from './combineCommand.js';
import { compareCommand } from './compareCommand.js';
import { convertCommand } from './convertCommand.js';
import { chatCommand } from './chatCommand.js';
import { dataCommand } from './dataCommand.js';
import { describeFindings } from './describeFindings.js';
import { describeMemory } from './describeMemory.js';
import { describeLearned } from './describeLearned.js';
import { describeRows } from './describeRows.js';
import { describeStart } from './describeStart.js';
import { describeTuned } from './describeTuned.js';
import { describeUse } from './describeUse.js';
import { exportCommand } from './exportCommand.js';
import { generateCommand } from './generateCommand.js';
import { initCommand } from './initCommand.js';
import { inspectCommand } from './inspectCommand.js';
import { intrinsicCommand } from './intrinsicCommand.js';
import type { Speaker } from './io.js';
import { planCommand } from './planCommand.js';
import { profileCommand } from './profileCommand.js';
import { predictCommand } from './predictCommand.js';
import type { Actions, EvalFlags } from './program.js';
import type { TrainFlags } from './trainingFlags.js';
import { quantizeCommand } from './quantizeCommand.js';
import { runsCommand } from './runsCommand.js';
import { spectrumCommand } from './spectrumCommand.js';
import { sweepCommand } from './sweepCommand.js';
import { workerCommand } from './workerCommand.js';
import { duration } from './duration.js';
import { countReporter, startProgress, transferReporter } from './progress.js';
import type { Progress } from './progress.js';

/** The commands over their flags: each chooses a device, does its job and reports the result. */
export function makeActions(speaker: Speaker, onInterrupted: () => void): Actions {
  return {
    train: (flags) =>
      withBackend(flags, speaker, (backend) => trainCommand({ flags, backend, speaker, onInterrupted })),
    eval: (flags) =>
      withBackend(flags, speaker, async (backend) => {
        checkLabels({ labels: flags.labels, metrics: flags.metric });
        if (flags.loss !== 'sft') return evaluatePreferencesCommand(flags, { backend, speaker });
        if (await taskToEvaluate({ ...flags, ...reportTo(speaker) }))
          return evaluateTaskCommand(flags, { backend, speaker });
        checkLoss(flags.loss, flags);
        const result = await evaluateFolder({
          ...flags,
          metrics: flags.metric,
          ...reportTo(speaker),
          backend,
          onProgress: countReporter(speaker, 'prompts answered'),
        });
        speaker.result(result, describeEvaluation(result, flags.metric));
      }),
    predict: (texts, flags) =>
      withBackend(flags, speaker, (backend) =>
        predictCommand(texts, { ...flags, ...reportTo(speaker) }, { backend, speaker }),
      ),
    generate: (flags) =>
      withBackend(flags, speaker, (backend) =>
        generateCommand({ ...flags, ...reportTo(speaker) }, { backend, speaker }),
      ),
    chat: (flags) =>
      withBackend(flags, speaker, (backend) => chatCommand({ ...flags, ...reportTo(speaker) }, { backend, speaker })),
    async merge(flags) {
      const result = await mergeFolders({ ...flags, ...reportTo(speaker) });
      speaker.result(
        result,
        `merged ${result.merged} layers of ${result.tensors} tensors; the model lies in ${result.model}`,
      );
    },
    data: (flags) => dataCommand(flags, speaker, reportTo(speaker)),
    combine: (flags) => combineCommand(flags, speaker, reportTo(speaker)),
    inspect: (flags) => inspectCommand(flags, speaker, reportTo(speaker)),
    runs: (folders, flags) => runsCommand(folders, flags, speaker),
    spectrum: (flags) => spectrumCommand(flags, speaker, reportTo(speaker)),
    convert: (flags) => convertCommand(flags, speaker, reportTo(speaker)),
    export: (flags, device, run) =>
      withBackend({ device }, speaker, (backend) =>
        exportCommand(flags, run, { backend, speaker, events: reportTo(speaker) }),
      ),
    init: (flags) => initCommand(flags, speaker, reportTo(speaker)),
    plan: (flags) => planCommand(flags, speaker),
    profile: (flags) => withBackend(flags, speaker, (backend) => profileCommand(flags, { backend, speaker })),
    quantize: (flags) => quantizeCommand({ flags, speaker, onInterrupted }),
    compare: (flags) =>
      withBackend(flags, speaker, (backend) => compareCommand(flags, { backend, speaker, onInterrupted })),
    intrinsic: (flags) =>
      withBackend(flags, speaker, (backend) => intrinsicCommand(flags, { backend, speaker, onInterrupted })),
    worker: (flags) =>
      withBackend(flags, speaker, (backend) => workerCommand(flags, { backend, speaker, onInterrupted })),
    sweep: (flags) =>
      withBackend(flags, speaker, (backend) => sweepCommand(flags, { backend, speaker, onInterrupted })),
    async doctor() {
      const findings = await examine();
      speaker.result(findings, describeFindings(findings));
    },
  };
}

function describeEvaluation(
  { loss, perplexity, tokens, rows, prompts, scores }: EvaluateFolderResult,
  metrics: readonly MetricName[],
): string {
  const written = metrics
    .filter((name) => name !== 'loss')
    .map((name) => `${metricTitles[name]} ${format.score(name, scores[name] ?? NaN)}`);
  return (
    `loss ${loss.toFixed(6)}, perplexity ${perplexity.toFixed(4)} over ${tokens} tokens of ${rows} ` +
    `rows${written.length === 0 ? '' : `; ${written.join(', ')} over ${prompts} prompts`}`
  );
}

async function evaluateTaskCommand(
  flags: EvalFlags,
  { backend, speaker }: { readonly backend: () => Promise<Backend>; readonly speaker: Speaker },
): Promise<void> {
  const result = await evaluateTask({
    ...flags,
    ...reportTo(speaker),
    backend,
    onProgress: countReporter(speaker, 'texts read'),
  });
  const { loss, scores, rows } = result;
  const written = Object.entries(scores).map(([name, score]) => `${name} ${score.toFixed(4)}`);
  speaker.result(result, [`loss ${loss.toFixed(6)}`, ...written].join(', ') + ` over ${rows} rows`);
}

async function evaluatePreferencesCommand(
  flags: EvalFlags,
  { backend, speaker }: { readonly backend: () => Promise<Backend>; readonly speaker: Speaker },
): Promise<void> {
  const result = await evaluatePreferences({
    ...flags,
    metrics: flags.metric,
    ...reportTo(speaker),
    onReference: (documents) => speaker.say(describeReference(documents)),
    backend,
  });
  const { loss, rows, ...measures } = result;
  speaker.result(result, `loss ${loss.toFixed(6)}${describeMeasures(measures)} over ${rows} rows`);
}

/** `, margin 0.4211, accuracy 75.0%` */
function describeMeasures({
  margin,
  accuracy,
}: {
  readonly margin?: number | undefined;
  readonly accuracy?: number | undefined;
}): string {
  const share = accuracy === undefined ? '' : `, accuracy ${(100 * accuracy).toFixed(1)}%`;
  return `${margin === undefined ? '' : `, margin ${margin.toFixed(4)}`}${share}`;
}

function describeReference(documents: number): string {
  return `reference: how likely ${documents.toLocaleString('en')} completions are before training`;
}

/** Shows downloads and warnings to the user. */
function reportTo(speaker: Speaker): TransferEvents {
  return { onTransfer: transferReporter(speaker), onWarning: (text) => speaker.say(`warning: ${text}`) };
}

async function withBackend(
  { device, robustness, tune, ...given }: BackendNeeds & DeviceChoices & { readonly device: DeviceName },
  speaker: Speaker,
  job: (backend: (needs?: BackendNeeds) => Promise<Backend>) => Promise<void>,
): Promise<void> {
  let opened: Backend | undefined;
  const open = async (needs: BackendNeeds = {}): Promise<Backend> => {
    // Called again where a device was lost.
    opened?.dispose();
    const { backend, note } = await chooseBackend(device, {
      robustness,
      tune,
      onTuned: (event) => speaker.say(describeTuned(event)),
      precision: needs.precision ?? given.precision,
    });
    opened = backend;
    if (note !== undefined) speaker.say(note);
    speaker.say(`device: ${backend.name}, ${backend.description}`);
    return backend;
  };
  try {
    await job(open);
  } finally {
    opened?.dispose();
  }
}

interface TrainCommand {
  readonly flags: TrainFlags;
  readonly backend: () => Promise<Backend>;
  readonly speaker: Speaker;
  readonly onInterrupted: () => void;
}

/** The run in the output folder goes on: nobody has to have asked for it. */
function describeResumed({ folder, step }: ResumedEvent): string {
  const whole = '--overwrite begins a new one';
  return step === undefined
    ? `the unfinished run in ${folder} has no checkpoint: it begins anew, with its settings (${whole})`
    : `going on with the run in ${folder} after step ${step} (${checkpointName(step)}; ${whole})`;
}

/** Another device does the rest of a run. */
function describeLost({ message, step }: DeviceLostEvent): string {
  const from =
    step === undefined ? 'begins anew (it has no checkpoint: see --save-every)' : `goes on after step ${step}`;
  return `${message}\nthe run ${from} on another device`;
}

/** The same steps in smaller micro-batches. */
function describeReduced({ message, batchSize, gradientAccumulation, plannedBytes, step }: BatchReducedEvent): string {
  const { before, now } = plannedBytes;
  const sizes =
    before === undefined || now === undefined
      ? ''
      : `; by its plan a step takes ${(now / 1e6).toFixed(1)} MB in place of ${(before / 1e6).toFixed(1)} MB`;
  const from = step === undefined ? 'begins anew' : `goes on after step ${step}`;
  return (
    `${message}\nthe run ${from} with --batch-size ${batchSize} --gradient-accumulation ${gradientAccumulation}, ` +
    `the same rows in each step${sizes}`
  );
}

/** A batch that is left out, with --on-nan skip. */
function describeSkipped({ step, loss, gradNorm, inRow, mostInRow }: SkippedEvent): string {
  const before = inRow === 1 ? '' : `, ${inRow} in a row (${mostInRow} end the run)`;
  return `step ${step}: loss ${loss}, gradient norm ${gradNorm}: its batch is skipped, and changes nothing${before}`;
}

/** Batches that are left out, with --on-spike rollback. */
function describeRollback({ step, loss, median, to }: RolledBackEvent): string {
  return (
    `step ${step}: loss ${loss.toFixed(4)}, where the median of those before is ${median.toFixed(4)}: back to the ` +
    `weights of step ${to}; the batches since then are left out`
  );
}

function describeTrained(result: FineTuneResult): string {
  const { steps, final_loss: loss, eval_loss: evalLoss, best_step: best, stopped_by: by, seconds } = result;
  const measures = describeMeasures({ margin: result.eval_margin, accuracy: result.eval_accuracy });
  const place = result.adapter ?? result.model;
  if (place === null) return 'interrupted before the first step: nothing was saved';
  const how = { signal: 'interrupted, and saved: ', 'early-stopping': 'no more progress: ', steps: '' }[by];
  const learned =
    loss === null
      ? steps === 0
        ? 'no step was taken'
        : 'nothing was learned'
      : `loss ${loss.toFixed(4)} after ${steps} steps`;
  const evaluated = evalLoss === null ? '' : `, ${evalLoss.toFixed(4)}${measures} on the evaluation rows`;
  const lowest = best === null || best === steps ? '' : ` (best after step ${best})`;
  const without = result.skipped_steps === undefined ? '' : `, ${result.skipped_steps} steps skipped`;
  return `${how}${learned}${without}${evaluated}${lowest}, in ${duration(seconds * 1000)}; saved in ${place}`;
}

async function trainCommand({ flags, backend, speaker, onInterrupted }: TrainCommand): Promise<void> {
  const { device: _, robustness: _2, tune: _3, json: _4, ...options } = flags;
  const controller = new AbortController();
  const release = speaker.io.onInterrupt(
    () => controller.abort(),
    '\ninterrupted: the step in progress is finished and saved. Press Ctrl-C again to stop at once.\n',
  );
  let progress: Progress | undefined;
  let samples: readonly RunSample[] = [];
  let isTask = false;
  const say = (text: string): void => {
    if (progress === undefined) speaker.say(text);
    else progress.above(() => speaker.say(text));
  };
  const onEvent = async (event: FineTuneEvent): Promise<void> => {
    if (event.type === 'warning') say(`warning: ${event.text}`);
    else if (event.type === 'data') {
      isTask ||= taskNames.some((task) => task === event.name);
      say(`${event.name}: ${describeRows(event)}`);
    } else if (event.type === 'resumed') say(describeResumed(event));
    else if (event.type === 'deviceLost' || event.type === 'batchReduced') {
      progress?.stop();
      progress = undefined;
      say(`warning: ${event.type === 'deviceLost' ? describeLost(event) : describeReduced(event)}`);
    } else if (event.type === 'reference') say(describeReference(event.documents));
    else if (event.type === 'memoryPlanned') say(describeMemory(event));
    else if (event.type === 'baseline') say(`loss ${event.loss.toFixed(4)} on the evaluation rows before training`);
    else if (event.type === 'samples') ({ samples } = event);
    else if (event.type === 'started') {
      const { steps, from } = event;
      say(describeStart(event));
      progress = startProgress(speaker, steps, { from });
    } else if (event.type === 'step') {
      progress?.step(event);
      speaker.line(metricsOf(event));
    } else if (event.type === 'skipped' || event.type === 'rolledBack') {
      say(`warning: ${event.type === 'skipped' ? describeSkipped(event) : describeRollback(event)}`);
      speaker.line(skippedMetrics(event));
    } else if (event.type === 'evaluated' && !event.isLast) {
      speaker.line(evaluationMetrics(event));
      progress?.evaluated(event);
    } else if (event.type !== 'checkpoint') progress?.stop();
  };
  try {
    const { interrupted, ...result } = await fineTuneFolder({
      ...options,
      onTransfer: transferReporter(speaker),
      backend,
      signal: controller.signal,
      onEvent,
    });
    if (interrupted) onInterrupted();
    const isSaved = result.adapter !== null || result.model !== null;
    speaker.result(
      { ...result, ...(interrupted || !isSaved ? { interrupted } : {}) },
      describeTrained({ ...result, interrupted }),
    );
    const learned = describeLearned(result, { samples, isText: !isTask && result.eval_margin === undefined });
    if (!speaker.json && learned !== '') speaker.say(learned);
    const use = speaker.json ? [] : describeUse({ ...result, interrupted }, { ...flags, isTask });
    if (use.length > 0) speaker.say(['to use it:', ...use.map((command) => `  ${command}`)].join('\n'));
  } finally {
    progress?.stop();
    release();
  }
}
