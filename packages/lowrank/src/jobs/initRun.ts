import { claimFile, writeFileAtomic } from '@lowrank/files';
import { outlineModel } from '@lowrank/models';
import { basename } from 'node:path';
import { runFileText } from '../settings/runFileText.js';
import type { OutputOptions } from '../settings/methodTables.js';
import type { TransferEvents } from './folders.js';
import type { SeenOfRun } from './initTask.js';
import { lengthFor, seenOfTask } from './initTask.js';
import { taskOfRun } from './taskOfRun.js';
import { withFolders } from './folders.js';
import { planFineTune } from './planning/plan.js';
import { readModelConfig } from './planning/planConfig.js';
import type { PlanReport } from './planning/planReport.js';
import type { ShowDataResult } from './showData.js';
import { showData } from './showData.js';

export interface InitRunOptions extends TransferEvents, OutputOptions {
  /** Hugging Face folder, hub id or URL. */
  readonly model: string;
  readonly data: string;
  /** The file to write. */
  readonly output: string;
  /** Bytes that the run may take on the device. */
  readonly memory?: number | undefined;
}

/** What `lowrank init` prints. */
export interface InitRunResult {
  readonly output: string;
  /** The settings that were chosen, by the names of the file. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Of the run on the device, planned. */
  readonly peak_bytes: number;
}

/** Weights from which on 4 bits are suggested: in 16 bits they and their run are more than most laptops' GPUs have. */
const manyWeights = 4e9;

/**
 * Writes a commented configuration file of `lowrank train` for a model and a data file, both of which it looks at.
 *
 * @throws LowrankError what reading them throws; `output.taken` where the file exists and `overwrite` is not given
 */
export async function initRun(options: InitRunOptions): Promise<InitRunResult> {
  const { output, overwrite, data, memory } = options;
  const claim = await claimFile(output, { magic: '\0', overwrite });
  try {
    const { model, baseModel } = await withFolders({ model: options.model }, options);
    const task = await taskOfRun({ model, data });
    const seen = task === undefined ? await seenOfTexts(model, options) : await seenOfTask(model, task);
    const { batchSize } = seen.plan;
    const plan = await fittingPlan({ ...seen.plan, model, memory });
    const settings = {
      model: baseModel,
      data,
      output: `./${basename(baseModel)}-${task?.task.name ?? 'lora'}`,
      ...(seen.rows >= 40 && { validation: 0.05 }),
      epochs: seen.rows < 2000 ? 3 : 1,
      batch_size: plan.batch_size,
      ...(plan.batch_size < batchSize && { gradient_accumulation: batchSize / plan.batch_size }),
      schedule: 'cosine',
      ...seen.settings,
      r: 8,
      alpha: 16,
      target_modules: 'all-linear',
      ...(plan.quantization && { quantization: plan.quantization.type, double_quantization: true }),
      ...(plan.checkpointing && { checkpointing: true }),
    };
    const facts = {
      ...seen.facts,
      model: `${seen.family}, ${millions(plan.parameters)} parameters`,
      batch_size: `planned for ${plan.device}: ${(plan.bytes.peak / 1e9).toFixed(2)} GB at the most`,
    };
    await writeFileAtomic(output, new TextEncoder().encode(runFileText(settings, facts)));
    return { output, settings, peak_bytes: plan.bytes.peak };
  } finally {
    await claim.discard();
  }
}

/** Looks at a model that writes, and its rows. */
async function seenOfTexts(model: string, { data, onWarning }: InitRunOptions): Promise<SeenOfRun> {
  const rows = await showData({ model, data, onWarning });
  const { name, config } = await readModelConfig({ model });
  const { shape } = outlineModel(config, { name });
  const { lengths, learnedShare } = rows.statistics;
  const maxLength = lengthFor(lengths, shape.maxPositions);
  return {
    rows: rows.rows,
    family: `${shape.modelType}, up to ${shape.maxPositions} tokens`,
    settings: { max_length: maxLength, learning_rate: 2e-4, warmup: 0.03 },
    facts: {
      data:
        `${rows.rows} rows of ${lengths.min} to ${lengths.max} tokens (half have up to ${lengths.median}); ` +
        `${Math.round(100 * learnedShare)}% of the tokens are learned`,
      max_length: `${cut(rows, maxLength)} of the rows are cut there`,
    },
    plan: { maxLength, batchSize: 8 },
  };
}

function cut({ statistics: { histogram, lengths } }: ShowDataResult, maxLength: number): string {
  if (lengths.max <= maxLength) return 'none';
  const rows = histogram.reduce((sum, bin) => sum + (bin.upTo > maxLength ? bin.rows : 0), 0);
  return `at most ${rows}`;
}

type Wanted = SeenOfRun['plan'] & { readonly model: string; readonly memory: number | undefined };

/** The run as it is; in 4 bits, with checkpointing, with fewer rows at a time, until it fits. */
async function fittingPlan({ batchSize, ...wanted }: Wanted): Promise<PlanReport> {
  const of = { ...wanted, batchSize, targetModules: ['all-linear'] };
  const plain = await planFineTune(of);
  const isLarge = 2 * plain.parameters > manyWeights;
  if (!isLarge && plain.fits !== false) return plain;
  const quantized = { ...of, method: 'qlora', quantization: 'nf4', doubleQuantization: true } as const;
  let plan = await planFineTune(quantized);
  for (let rows = batchSize; plan.fits === false && rows >= 1; rows /= 2)
    plan = await planFineTune({ ...quantized, batchSize: rows, checkpointing: true });
  return plan;
}

function millions(count: number): string {
  return count >= 1e9 ? `${(count / 1e9).toFixed(2)} billion` : `${(count / 1e6).toFixed(1)} million`;
}
