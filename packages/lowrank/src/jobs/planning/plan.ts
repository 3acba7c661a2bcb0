import { contenderNamed, lora, methodNamed } from '@lowrank/methods';
import { checkOwners } from '../../settings/checkOptions.js';
import { planTables } from '../../settings/planTables.js';
import { readModelConfig } from './planConfig.js';
import type { PlanOptions } from './plannedRun.js';
import { plannedRun } from './plannedRun.js';
import { planDevice } from './planDevice.js';
import { variantsOf } from './planFit.js';
import type { PlanReport } from './planReport.js';
import { outlined, planRun } from './planRun.js';

/**
 * What a fine-tuning run would need, from its compiled plan: no weights, no GPU, no estimate.
 *
 * @throws LowrankError `cli.config` (no such config), `cli.conflict` (options that exclude each other), and
 * what the models, adapters and compiler throw
 */
export async function planFineTune(options: PlanOptions): Promise<PlanReport> {
  // A plan has always had a rank, for whichever method.
  checkOwners(planTables, options.method ?? 'lora', { ...options, r: undefined });
  const model = await readModelConfig(options);
  const run = plannedRun(options, model);
  const { shape, defaultTargets } = outlined(run, { name: model.name });
  const device = await planDevice(options.device ?? 'auto');
  const cost = await planRun(run, device);
  const memory = options.memory ?? device.memoryBytes;
  const fits = memory === undefined ? undefined : cost.bytes.peak <= memory;
  const method = methodNamed(contenderNamed(run.method).method);
  const hasRank = method.name === lora.name;
  const targets = run.targetModules ?? (hasRank ? defaultTargets : undefined);
  const all = method.saves === 'model' ? cost.parameters : cost.parameters + cost.trainableParameters;
  return {
    model: model.name,
    model_type: shape.modelType,
    parameters: cost.parameters,
    task: run.task?.task.name ?? null,
    method: run.method,
    r: hasRank ? run.r : null,
    target_modules: targets === undefined ? null : [targets].flat(),
    virtual_tokens: run.virtualTokens ?? null,
    bottleneck: run.bottleneck ?? null,
    dtype: run.dtype,
    quantization: run.quantization ?? null,
    checkpointing: run.checkpointing,
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
    variants: fits === false && memory !== undefined ? await variantsOf(run, device, memory) : [],
  };
}
