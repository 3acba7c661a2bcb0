import { LowrankError } from '@lowrank/errors';
import type { EncodedRow, TextRow, TrainingRows } from '@lowrank/data';
import { createSampler, memoryRows, readChatTemplate, readTextRows, readTokenizer, selectionOf } from '@lowrank/data';
import { beginSaving, claimOutput } from '@lowrank/files';
import type { MethodFiles } from '@lowrank/methods';
import { methodNamed } from '@lowrank/methods';
import { defaultsOf } from '@lowrank/settings';
import { trainingSettings, warmupSteps } from '@lowrank/trainer';
import { basename, dirname, join, resolve } from 'node:path';
import { backendOnce } from '../device.js';
import type { ExportedFiles, ExportedRow, ExportedRun, ExportTarget, Recipe } from '../exporting/exportedRun.js';
import { refuse } from '../exporting/recipes.js';
import type { ExportTargetName } from '../exporting/targets/index.js';
import { exportTargets } from '../exporting/targets/index.js';
import { cutFor, readRows } from '../front/readRows.js';
import type { RunEvent, TrainingModel } from '../front/runOptions.js';
import { prepareMethod } from '../front/runTraining.js';
import { filesToSave } from '../saveFolder.js';
import { checkOptions } from '../settings/checkOptions.js';
import type { OutputOptions } from '../settings/methodTables.js';
import type { FineTuneFolderOptions } from './fineTuneOptions.js';
import type { TransferEvents } from './folders.js';
import { withFolders } from './folders.js';
import type { RunSoFar } from './runToExport.js';
import { openModel } from './openModel.js';
import { quantizationOf } from './quantization.js';
import { modelTexts } from './modelTexts.js';

export interface ExportRunOptions extends OutputOptions, TransferEvents {
  /** The run, as `fineTuneFolder` takes it. */
  readonly run: FineTuneFolderOptions;
  /** How far it is; without, it is exported as it begins. */
  readonly sofar?: RunSoFar | undefined;
  readonly to: ExportTargetName;
  /** Folder of the files for the other engine. */
  readonly output: string;
}

/** What `lowrank export` prints. */
export interface ExportRunResult {
  readonly output: string;
  readonly to: ExportTargetName;
  readonly files: readonly string[];
  readonly rows: number;
  readonly steps: number;
  /** What to type in the folder. */
  readonly command: string;
  /** What will differ from Lowrank's own run, as sentences. */
  readonly differences: readonly string[];
}

/**
 * Writes a run for another engine: model, rows with their masks, numbers, and the adapter as Lowrank begins it.
 *
 * @throws LowrankError `export.unsupported`, and what `fineTuneFolder` throws before its first step
 */
export async function exportRun({
  run,
  sofar,
  to,
  output,
  overwrite,
  ...events
}: ExportRunOptions): Promise<ExportRunResult> {
  checkOptions(run);
  if (run.task !== undefined) throw ofTask(run.task);
  const target = exportTargets[to];
  const claim = await claimOutput(output, { inputs: [run.model], overwrite });
  try {
    const exported = await collect({ run, sofar, events });
    const written = await target.write(exported);
    const files: MethodFiles = {
      ...prefixed('adapter', exported.adapter ?? {}),
      ...written.files,
      'README.md': readme(target, written),
    };
    for (const [folder, names] of byFolder(files)) {
      const first = basename(names.at(-1) ?? '');
      const place = join(output, folder);
      const saving =
        folder === '.' ? await claim.beginSaving('README.md', () => false) : await beginSaving(place, { first });
      for (const name of names) await saving.write(basename(name), files[name] ?? '');
      await saving.commit();
    }
    return {
      output,
      to,
      files: Object.keys(files),
      rows: exported.rows.length,
      steps: exported.recipe.steps,
      command: written.command,
      differences: written.differences,
    };
  } finally {
    await claim.discard();
  }
}

interface Collected extends Pick<ExportRunOptions, 'run' | 'sofar'> {
  readonly events: TransferEvents;
}

async function collect({ run, sofar, events }: Collected): Promise<ExportedRun> {
  const options = await withFolders(run, events);
  const tokenizer = await readTokenizer(modelTexts(options.model));
  const open = await openModel(options.model, { ...options, ...events, backend: undefined });
  const model: TrainingModel = {
    open,
    tokenizer,
    chatTemplate: () => readChatTemplate(modelTexts(options.model), { file: options.template }),
    backend: backendOnce(options.backend),
    quantization: quantizationOf(options),
  };
  const hooks = {
    onEvent: (event: RunEvent) => {
      if (event.type === 'warning') events.onWarning?.(event.text);
    },
  };
  const trained = { ...options, cut: cutFor('train', options.validation) };
  const read = async (): Promise<TrainingRows> =>
    memoryRows(await readRows(model, options.data, { options: trained, hooks, parts: options.parts }));
  if (options.addTokens !== undefined) refuse('added tokens', 'a model and a tokenizer that have them already');
  const method = methodNamed(options.method ?? 'lora');
  const applied = await prepareMethod(model, { ...options, resume: undefined }, { rows: read, hooks });
  if (open.module.virtualTokens > 0)
    refuse(`the method ${method.name}`, 'LoRA, or another method whose tokens are text');
  const rows = await read();
  const byLine = new Map((await readTextRows(options.data, selectionOf(options))).map((row) => [row.line, row]));
  const { baseModel } = options;
  const recipe = recipeOf(options, { rows: rows.kept, contextLength: open.contextLength });
  const step = sofar?.step ?? 0;
  return {
    model: baseModel === options.model ? resolve(baseModel) : baseModel,
    adapter: method.saves === 'adapter' ? (sofar?.adapter ?? (await filesToSave(method, applied, open))) : undefined,
    rows: (await inOrder(rows, options, step * recipe.batchSize * recipe.gradientAccumulation)).map((row) =>
      exportedRow(row, byLine),
    ),
    recipe: { ...recipe, steps: recipe.steps > step ? recipe.steps - step : recipe.steps },
    eos: tokenizer.eosId === undefined ? '' : (tokenizer.tokenOf(tokenizer.eosId) ?? ''),
    given: differing(options),
  };
}

/** As many rows as there are, in the order that the run takes them in after the `taken` first ones. */
async function inOrder(
  rows: TrainingRows,
  { shuffle, seed }: FineTuneFolderOptions,
  taken: number,
): Promise<EncodedRow[]> {
  const sampler = createSampler({ rows: rows.length, shuffle, seed });
  sampler.take(taken);
  const ordered: EncodedRow[] = [];
  for (const index of sampler.take(rows.length)) {
    const row = await rows.at(index);
    if (row !== undefined) ordered.push(row);
  }
  return ordered;
}

function exportedRow({ ids, labels, line }: EncodedRow, byLine: ReadonlyMap<number, TextRow>): ExportedRow {
  const row = byLine.get(line) ?? refuse(`line ${line}`, 'a row of text');
  if ('chosen' in row) refuse('rows of preferences', 'rows of text, for supervised fine-tuning');
  return { ids: [...ids], labels: [...labels], row };
}

function recipeOf(
  options: FineTuneFolderOptions,
  { rows, contextLength }: { readonly rows: number; readonly contextLength: number },
): Recipe {
  const defaults = defaultsOf(trainingSettings) as { readonly learningRate: number; readonly clip: number };
  const { batchSize = 8, gradientAccumulation = 1, maxLength = contextLength, optimizer = 'adamw' } = options;
  const { minLearningRateRatio, cycles, decaySteps } = options;
  const steps = options.steps ?? Math.ceil(((options.epochs ?? 1) * rows) / (batchSize * gradientAccumulation));
  return {
    steps,
    batchSize,
    gradientAccumulation,
    learningRate: options.learningRate ?? defaults.learningRate,
    schedule: options.schedule ?? 'constant',
    warmup: warmupSteps({ warmup: options.warmup, steps }),
    scheduleNumbers: { minLearningRateRatio, cycles, decaySteps },
    optimizer,
    beta1: options.beta1 ?? 0.9,
    beta2: options.beta2 ?? (optimizer === 'lion' ? 0.99 : 0.999),
    epsilon: options.epsilon ?? 1e-8,
    momentum: options.momentum ?? 0.9,
    weightDecay: options.weightDecay ?? 0,
    clip: options.clip ?? defaults.clip,
    seed: options.seed ?? 0,
    maxLength: Math.min(maxLength, contextLength),
    checkpointing: options.checkpointing ?? false,
    quantization: quantizationOf(options),
  };
}

/** Settings that are not what they would be anyway. */
function differing(options: object): Readonly<Record<string, unknown>> {
  const defaults: Readonly<Record<string, unknown>> = defaultsOf(trainingSettings);
  return Object.fromEntries(Object.entries(options).filter(([name, value]) => value !== defaults[name]));
}

function prefixed(folder: string, files: MethodFiles): MethodFiles {
  return Object.fromEntries(Object.entries(files).map(([name, content]) => [`${folder}/${name}`, content]));
}

/** Names by their folder, the root last. */
function byFolder(files: MethodFiles): [folder: string, names: string[]][] {
  const folders = new Map<string, string[]>();
  for (const name of Object.keys(files)) folders.set(dirname(name), [...(folders.get(dirname(name)) ?? []), name]);
  return [...folders].sort(([one], [other]) => Number(one === '.') - Number(other === '.'));
}

function readme({ title }: ExportTarget, { command, back, differences }: ExportedFiles): string {
  return [
    `# A training run of Lowrank for ${title}`,
    '',
    '```sh',
    command,
    '```',
    '',
    `The adapter as it begins is in \`adapter\`. ${back}`,
    '',
    '## What will differ',
    '',
    ...(differences.length === 0 ? ['Nothing that is known.'] : differences.map((text) => `- ${text}`)),
    '',
  ].join('\n');
}

function ofTask(task: string): LowrankError {
  return new LowrankError({
    code: 'cli.conflict',
    what: (names) => names('task', task),
    expected: 'a run that learns to write text, which other engines take',
    got: 'a task',
    setting: 'task',
  });
}
