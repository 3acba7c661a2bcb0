import { LowrankError } from '@lowrank/errors';
import { contenderNamed, lora, methodNamed } from '@lowrank/methods';
import { outlineModel } from '@lowrank/models';
import { defaultsOf } from '@lowrank/settings';
import type { DeviceName } from '../../device.js';
import { checkOwners } from '../../settings/checkOptions.js';
import type { CommonOptions } from '../../settings/methodTables.js';
import type { PlanMethodOptions } from '../../settings/planTables.js';
import { planCommonTables, planTables } from '../../settings/planTables.js';
import type { QuantizationOptions } from '../quantization.js';
import { dtypeIn, plannedQuantization, readModelConfig } from './planConfig.js';
import type { NamedConfig } from './planConfig.js';
import { planDevice } from './planDevice.js';
import { variantsOf } from './planFit.js';
import type { PlanReport } from './planReport.js';
import type { PlannedRun } from './planRun.js';
import { planRun } from './planRun.js';

type Batching = 'loss' | 'maxLength' | 'batchSize' | 'gradientAccumulation' | 'packing' | 'checkpointing' | 'optimizer';

/** Options of a plan: those of a run that memory and time depend on. */
export interface PlanOptions extends PlanMethodOptions, Pick<CommonOptions, Batching>, QuantizationOptions {
  /** A config.json, or the name of a common model. */
  readonly config?: string | undefined;
  /** A model folder, of which only config.json is read. */
  readonly model?: string | undefined;
  /** Default lora. */
  readonly method?: PlannedRun['method'];
  /** Of frozen matrices that are not quantized. Default: the config's, else bf16. */
  readonly dtype?: PlannedRun['dtype'];
  readonly device?: DeviceName;
  /** Bytes that all may take: WebGPU does not report a GPU's memory. */
  readonly memory?: number;
}

/**
 * What a fine-tuning run would need, from its compiled plan: no weights, no GPU, no estimate.
 *
 * @throws LowrankError `cli.config` (no such config), `cli.conflict` (options that exclude each other), and what the
 * models, adapters and compiler throw
 */
export async function planFineTune(options: PlanOptions): Promise<PlanReport> {
  // A plan has always had a rank, for whichever method.
  checkOwners(planTables, options.method ?? 'lora', { ...options, r: undefined });
  const model = await readModelConfig(options);
  const { shape, defaultTargets } = outlineModel(model.config, { name: model.name });
  const run = plannedRun(options, model, shape.maxPositions);
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

/** The settings of a plan where nothing is given, where they are not those of a run. */
export const planDefaults = { r: 8, batchSize: 1, maxLength: 1024 } as const;

function plannedRun(options: PlanOptions, { name, config, codes }: NamedConfig, maxPositions: number): PlannedRun {
  const { method = 'lora', trainableTokens, quantization, doubleQuantization } = options;
  // Beside codes there are tables, which are numbers in memory.
  const { dtype = codes === undefined ? dtypeIn(config) : 'f32' } = options;
  const defaults: object = Object.assign({}, ...[...planTables[method], ...planCommonTables].map(defaultsOf));
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const run = { ...defaults, ...planDefaults, ...Object.fromEntries(given) } as unknown as PlannedRun;
  return {
    ...run,
    config,
    name,
    method,
    dtype,
    trainableTokens: idsAlone(trainableTokens),
    maxLength: Math.min(run.maxLength, maxPositions - (run.virtualTokens ?? 0)),
    quantization:
      codes !== undefined && quantization === undefined
        ? undefined
        : plannedQuantization(method, { quantization, doubleQuantization }, config),
    codes: method === 'full' ? undefined : codes,
  };
}

function idsAlone(tokens: PlanOptions['trainableTokens']): readonly number[] | undefined {
  return tokens?.map((token) => {
    if (typeof token === 'number') return token;
    throw new LowrankError({
      code: 'cli.tokens',
      what: (names) => `${names('trainableTokens')} ${JSON.stringify(token)}`,
      expected: 'an id',
      got: 'a text',
      remedy: 'A plan reads no tokenizer: give ids, as many as there will be.',
    });
  });
}
