import type { RowSelection } from '@lowrank/data';
import { preferenceEvaluationBatches, readChatTemplate, readTokenizer } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { Objective, ObjectiveName, ObjectiveOptions } from '@lowrank/trainer';
import { evaluate, objectiveNamed } from '@lowrank/trainer';
import { backendOnce } from '../device.js';
import { readGroups, readied, referenceOf } from '../front/preferenceRun.js';
import type { RunHooks, TrainingModel } from '../front/runOptions.js';
import { checkLoss } from '../settings/checkOptions.js';
import type { EvaluateFolderOptions } from './evaluate.js';
import { withFolders } from './folders.js';
import { loadMethod } from './loadMethod.js';
import { openModel } from './openModel.js';
import { quantizationOf } from './quantization.js';
import { modelTexts } from './modelTexts.js';

export interface EvaluatePreferencesOptions
  extends
    Omit<EvaluateFolderOptions, 'scoreRows' | 'labels' | 'seed' | 'maxNewTokens' | 'onProgress'>,
    ObjectiveOptions {
  readonly loss: ObjectiveName;
  readonly onReference?: ((documents: number) => void) | undefined;
}

/** What `lowrank eval --loss dpo` prints: means over the rows. */
export interface EvaluatePreferencesResult {
  readonly loss: number;
  /**
   * By which the rewards of chosen completions exceed those of rejected ones; absent where all rows are of one kind.
   */
  readonly margin?: number;
  /** Share of rows on the right side. */
  readonly accuracy?: number;
  readonly rows: number;
}

/**
 * A preference loss of a model folder with an adapter over held-out rows. DPO and KTO compare with the model without
 * the
 * adapter.
 *
 * @throws LowrankError `cli.conflict` for DPO and KTO without an adapter, and for what only texts have
 */
export async function evaluatePreferences(given: EvaluatePreferencesOptions): Promise<EvaluatePreferencesResult> {
  const objective = objectiveNamed(given.loss);
  checkGiven(objective, given);
  const options = await withFolders(given, given);
  const kind = objective.rows === 'kto' ? 'kto' : 'preference';
  const tokenizer = options.tokenizer ?? (await readTokenizer(modelTexts(options.model)));
  for (const text of tokenizer.warnings) options.onWarning?.(text);
  const backend = backendOnce(options.backend);
  const open = await openModel(options.model, { ...options, backend });
  const model: TrainingModel = {
    open,
    tokenizer,
    chatTemplate: () => readChatTemplate(modelTexts(options.model), { file: options.template }),
    backend,
    quantization: quantizationOf(options),
  };
  const { module } = open;
  const hooks: RunHooks = {
    onEvent(event) {
      if (event.type === 'warning') options.onWarning?.(event.text);
      if (event.type === 'reference') options.onReference?.(event.documents);
    },
  };
  const groups = await readGroups(model, options.data, { hooks, kind, options: { ...options, shuffle: false } });
  const { signal, execution } = options;
  // Before there is an adapter: what it is compared with.
  const reference = objective.hasReference
    ? await referenceOf(groups.flat(), model, { hooks, isFresh: true, signal, execution })
    : undefined;
  if (options.adapter !== undefined) await loadMethod(open, options.adapter, options.onWarning);
  const longest = Math.max(...groups.flat().flatMap(({ documents }) => documents.map(({ ids }) => ids.length)));
  if (longest > open.contextLength) throw tooLong(longest, open.contextLength);
  const { virtualTokens } = module;
  const { loss, rows, measures } = await evaluate<string>({
    backend: await backend(),
    loss: (inputs) => objective.loss(module, inputs, options),
    batches: preferenceEvaluationBatches(readied(groups, { module, reference }), {
      kind,
      nll: objective.nll?.(options),
      virtualTokens,
    }),
    execution,
    signal,
  });
  return { loss, ...measures, rows };
}

function checkGiven(objective: Objective, options: EvaluatePreferencesOptions & RowSelection): void {
  checkLoss(objective.name, options);
  const metric = options.metrics?.find((name) => name !== 'loss');
  if (metric !== undefined)
    throw new LowrankError({
      code: 'cli.conflict',
      what: (names) => `${names('metric', metric)} with ${names('loss', objective.name)}`,
      expected: 'one of the two',
      got: 'both',
      remedy: 'Metrics of texts are of rows with one completion.',
      setting: 'metric',
    });
  if (!objective.hasReference || options.adapter !== undefined) return;
  throw new LowrankError({
    code: 'cli.conflict',
    what: (names) => names('loss', objective.name),
    expected: (names) => `${names('adapter')} with it: the model without the adapter is what it is compared with`,
    got: 'none',
    setting: 'adapter',
  });
}

function tooLong(tokens: number, room: number): LowrankError {
  return new LowrankError({
    code: 'cli.maxLength',
    what: 'the longest row',
    expected: `at most ${room} tokens, which the adapter's own leave room for`,
    got: String(tokens),
    remedy: (names) => `Cut rows: ${names('maxLength', String(room))}.`,
    setting: 'maxLength',
  });
}
