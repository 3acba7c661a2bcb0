import { claimFile, writeFileAtomic } from '@lowrank/files';
import { outlineModel } from '@lowrank/models';
import { basename } from 'node:path';
import { runFileText } from '../settings/runFileText.js';
import type { OutputOptions } from '../settings/methodTables.js';
import type { TransferEvents } from './folders.js';
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
    const rows = await showData({ model, data, onWarning: options.onWarning });
    const { name, config } = await readModelConfig({ model });
    const { shape } = outlineModel(config, { name });
    const maxLength = lengthFor(rows, shape.maxPositions);
    const plan = await fittingPlan({ model, maxLength, batchSize: 8, memory });
    const settings = {
      model: baseModel,
      data,
      output: `./${basename(baseModel)}-lora`,
      ...(rows.rows >= 40 && { validation: 0.05 }),
      max_length: maxLength,
      epochs: rows.rows < 2000 ? 3 : 1,
      batch_size: plan.batch_size,
      ...(plan.batch_size < 8 && { gradient_accumulation: 8 / plan.batch_size }),
      learning_rate: 2e-4,
      schedule: 'cosine',
      warmup: 0.03,
      r: 8,
      alpha: 16,
      target_modules: 'all-linear',
      ...(plan.quantization && { quantization: plan.quantization.type, double_quantization: true }),
      ...(plan.checkpointing && { checkpointing: true }),
    };
    const { lengths } = rows.statistics;
    const facts = {
      model: `${shape.modelType}, ${millions(plan.parameters)} parameters, up to ${shape.maxPositions} tokens`,
      data:
        `${rows.rows} rows of ${lengths.min} to ${lengths.max} tokens (half have up to ${lengths.median}); ` +
        `${Math.round(100 * rows.statistics.learnedShare)}% of the tokens are learned`,
      max_length: `${cut(rows, maxLength)} of the rows are cut there`,
      batch_size: `planned for ${plan.device}: ${(plan.bytes.peak / 1e9).toFixed(2)} GB at the most`,
    };
    await writeFileAtomic(output, new TextEncoder().encode(runFileText(settings, facts)));
    return { output, settings, peak_bytes: plan.bytes.peak };
  } finally {
    await claim.discard();
  }
}

/** The longest row, unless few are far longer than the others; a multiple of 8. */
function lengthFor({ statistics: { lengths } }: ShowDataResult, maxPositions: number): number {
  const longest = lengths.max <= 2 * lengths.p95 ? lengths.max : lengths.p95;
  return Math.min(8 * Math.ceil(longest / 8), maxPositions);
}

function cut({ statistics: { histogram, lengths } }: ShowDataResult, maxLength: number): string {
  if (lengths.max <= maxLength) return 'none';
  const rows = histogram.reduce((sum, bin) => sum + (bin.upTo > maxLength ? bin.rows : 0), 0);
  return `at most ${rows}`;
}

interface Wanted {
  readonly model: string;
  readonly maxLength: number;
  readonly batchSize: number;
  readonly memory: number | undefined;
}

/** The run as it is; in 4 bits, with checkpointing, with fewer rows at a time, until it fits. */
async function fittingPlan({ model, maxLength, batchSize, memory }: Wanted): Promise<PlanReport> {
  const of = { model, maxLength, batchSize, memory, targetModules: ['all-linear'] };
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
