import { contenderNamed, lora, methodNamed } from '@lowrank/methods';
import { LowrankError } from '@lowrank/errors';
import { checkExclusions } from '@lowrank/settings';
import { checkOwners } from '../../settings/checkOptions.js';
import { batchSettings } from '../../settings/runSettings.js';
import { planTables } from '../../settings/planTables.js';
import { readModelConfig } from './planConfig.js';
import type { PlanOptions } from './plannedRun.js';
import { plannedRun } from './plannedRun.js';
import { planDevice } from './planDevice.js';
import type { PlanDevice } from './planDevice.js';
import { fewestRecomputed, megabytes, overBudget } from './memoryBudget.js';
import { peakOf, variantsOf } from './planFit.js';
import type { PlanReport } from './planReport.js';
import type { PlannedRun } from './planRun.js';
import { outlined, planRun } from './planRun.js';
import { plannedTime } from './time/plannedTime.js';
import { timeTarget } from './time/timeTarget.js';

/**
 * What a fine-tuning run would need, from its compiled plan: no weights, no GPU, no estimate.
 *
 * @throws LowrankError `cli.config` (no such config), `cli.conflict` (options that exclude each other),
 * `cli.memoryBudget` (with what would fit), and
 * what the models, adapters and compiler throw
 */
export async function planFineTune(options: PlanOptions): Promise<PlanReport> {
  // A plan has always had a rank, for whichever method.
  checkOwners(planTables, options.method ?? 'lora', { ...options, r: undefined });
  if (options.steps !== undefined && options.on === undefined) throw timeless();
  checkExclusions({ ...batchSettings, code: 'cli.conflict' }, options);
  const model = await readModelConfig(options);
  const asked = plannedRun(options, model);
  const { shape, defaultTargets } = outlined(asked, { name: model.name });
  const target = options.on === undefined ? undefined : await timeTarget(options.on, options);
  const device = target?.device ?? (await planDevice(options.device ?? 'auto', options.precision));
  const run = await withinBudget(asked, shape.layers, device);
  const cost = await planRun(run, device);
  const memory = options.memory ?? device.memoryBytes;
  const recomputed = run.checkpointing === true ? shape.layers : Number(run.checkpointing);
  const fits = memory === undefined ? undefined : cost.bytes.peak <= memory;
  const method = methodNamed(contenderNamed(run.method).method);
  const hasRank = method.name === lora.name;
  const targets = run.targetModules ?? (hasRank ? defaultTargets : undefined);
  const all = method.saves === 'model' ? cost.parameters : cost.parameters + cost.trainableParameters;
  return {
    model: model.name,
    model_type: shape.modelType,
    layers: shape.layers,
    parameters: cost.parameters,
    task: run.task?.task.name ?? null,
    method: run.method,
    r: hasRank ? run.r : null,
    target_modules: targets === undefined ? null : [targets].flat(),
    virtual_tokens: run.virtualTokens ?? null,
    bottleneck: run.bottleneck ?? null,
    dtype: run.dtype,
    quantization: run.quantization ?? null,
    quantize_embeddings: run.quantizeEmbeddings ?? false,
    checkpointing: recomputed > 0,
    recomputed_layers: recomputed,
    optimizer: run.optimizer,
    batch_size: run.batchSize,
    gradient_accumulation: run.gradientAccumulation,
    max_length: run.maxLength,
    batches: cost.microBatches.map(({ batch, length }) => ({ batch, length })),
    trainable_parameters: cost.trainableParameters,
    trainable_share: cost.trainableParameters / all,
    file_bytes: cost.file,
    bytes: cost.bytes,
    largest_buffer_bytes: cost.largestBuffer,
    flops: cost.flops,
    kernels: cost.steps,
    device: device.name,
    memory_bytes: memory ?? null,
    fits: fits ?? null,
    time: target === undefined ? null : plannedTime(cost, target, options.steps),
    variants: fits === false && memory !== undefined ? await variantsOf(run, device, memory) : [],
  };
}

function timeless(): LowrankError {
  return new LowrankError({
    code: 'cli.conflict',
    what: (names) => `${names('steps')} without ${names('on')}`,
    expected: 'both or neither',
    got: 'a number of steps alone',
    remedy: (names) => `${names('steps')} tells the time of a run, on the device that ${names('on')} names.`,
  });
}

/** The run with as few layers computed twice as its budget allows. @throws LowrankError `cli.memoryBudget` */
async function withinBudget(run: PlannedRun, layers: number, device: PlanDevice): Promise<PlannedRun> {
  const { memoryBudget: budget } = run;
  if (budget === undefined) return run;
  const bytesOf = (checkpointing: number | true): Promise<number | undefined> =>
    peakOf({ ...run, checkpointing }, device);
  const found = await fewestRecomputed(layers, budget, bytesOf);
  if (found !== undefined) return { ...run, checkpointing: found.layers };
  const all: PlannedRun = { ...run, checkpointing: true };
  const ways = (await variantsOf(all, device, budget)).filter(({ fits }) => fits);
  throw overBudget(
    budget,
    await peakOf(all, device),
    ways.map(({ flags, peak_bytes: peak }) => `${flags.join(' ')} (${megabytes(peak ?? 0)})`),
  );
}
