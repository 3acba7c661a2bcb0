import { LowrankError } from '@lowrank/errors';
import { tuningMethods } from '@lowrank/methods';
import { openFolder, outlineModel, readJson } from '@lowrank/models';
import type { QuantizationSettings } from '@lowrank/quant';
import { parseQuantizationConfig } from '@lowrank/quant';
import { readFile } from 'node:fs/promises';
import type { DeviceName } from '../device.js';
import { commonConfigs } from './commonConfigs.js';
import { planDevice } from './planDevice.js';
import type { Variant } from './planFit.js';
import { variantsOf } from './planFit.js';
import type { PlannedRun, RunCost } from './planRun.js';
import { planDtypes, planRun } from './planRun.js';
import type { QuantizationFlags } from './quantization.js';
import { quantizationOf } from './quantization.js';

export interface PlanOptions extends QuantizationFlags {
  /** A config.json, or the name of a common model. */
  readonly config?: string | undefined;
  /** A model folder, of which only config.json is read. */
  readonly model?: string | undefined;
  /** Default lora. */
  readonly method?: PlannedRun['method'];
  /** Default 8. */
  readonly r?: number;
  readonly dropout?: number;
  readonly targetModules?: readonly string[];
  readonly modulesToSave?: readonly string[];
  readonly ensureWeightTying?: boolean;
  /** Ids alone: a plan reads no tokenizer. */
  readonly trainableTokens?: readonly (number | string)[];
  /** Of prompt and prefix tuning; default 20. */
  readonly virtualTokens?: number;
  /** Of bottleneck adapters; default 64. */
  readonly bottleneck?: number;
  /** Default 1. */
  readonly batchSize?: number;
  /** Default 1. */
  readonly gradientAccumulation?: number;
  /** Default 1024, or the model's context. */
  readonly maxLength?: number;
  /** Default true. */
  readonly packing?: boolean;
  readonly checkpointing?: boolean;
  /** Default adamw. */
  readonly optimizer?: PlannedRun['optimizer'];
  /** Of frozen matrices that are not quantized. Default: the config's, else bf16. */
  readonly dtype?: PlannedRun['dtype'];
  readonly device?: DeviceName;
  /** Bytes that all may take: WebGPU does not tell a GPU's memory. */
  readonly memory?: number;
}

/**
 * What `lowrank plan` prints. Bytes are those that the run allocates on the device, without what WebGPU itself keeps
 * beside buffers.
 */
export interface PlanReport {
  readonly model: string;
  readonly model_type: string;
  readonly parameters: number;
  readonly method: PlannedRun['method'];
  readonly r: number | null;
  /** null also for the layers that a method takes by itself. */
  readonly target_modules: readonly string[] | null;
  readonly virtual_tokens: number | null;
  readonly bottleneck: number | null;
  readonly dtype: PlannedRun['dtype'];
  readonly quantization: QuantizationSettings | null;
  readonly checkpointing: boolean;
  readonly optimizer: PlannedRun['optimizer'];
  readonly batch_size: number;
  readonly gradient_accumulation: number;
  readonly max_length: number;
  /** The sequences that a step runs one after another: rows are packed as `lowrank train` packs them. */
  readonly batches: readonly { readonly batch: number; readonly length: number }[];
  readonly trainable_parameters: number;
  /** Of all parameters, the adapter's included. */
  readonly trainable_share: number;
  /** The file that the run would save, in 16 and in 32 bits. */
  readonly file_bytes: RunCost['file'];
  readonly bytes: RunCost['bytes'];
  readonly largest_buffer_bytes: number;
  /** Floating-point operations of a step, multiply and add counted apart. */
  readonly flops: number;
  /** Kernel launches of a batch. */
  readonly kernels: number;
  readonly device: string;
  /** What there is room for; null where that is not known. */
  readonly memory_bytes: number | null;
  readonly fits: boolean | null;
  /** What would make it fit, planned; empty where it fits or nothing is known. */
  readonly variants: readonly Variant[];
}

/**
 * What a fine-tuning run would need, from its compiled plan: no weights, no GPU, no estimate.
 *
 * @throws LowrankError `cli.config` (no such config), `cli.conflict` (flags that exclude each other), and what the
 * models, adapters and compiler throw
 */
export async function planFineTune(options: PlanOptions): Promise<PlanReport> {
  checkOwn(options);
  const { name, config } = await readConfig(options);
  const { shape, defaultTargets } = outlineModel(config, { name });
  const run: PlannedRun = {
    config,
    name,
    method: options.method ?? 'lora',
    r: options.r ?? 8,
    dropout: options.dropout,
    targetModules: options.targetModules,
    modulesToSave: options.modulesToSave,
    ensureWeightTying: options.ensureWeightTying,
    trainableTokens: idsAlone(options.trainableTokens),
    virtualTokens: takesPositions(options)
      ? (options.virtualTokens ?? tuningMethods.prompt.defaults.virtualTokens)
      : undefined,
    bottleneck:
      options.method === 'adapter' ? (options.bottleneck ?? tuningMethods.adapter.defaults.bottleneck) : undefined,
    batchSize: options.batchSize ?? 1,
    gradientAccumulation: options.gradientAccumulation ?? 1,
    maxLength: Math.min(
      options.maxLength ?? 1024,
      shape.maxPositions -
        (takesPositions(options) ? (options.virtualTokens ?? tuningMethods.prompt.defaults.virtualTokens ?? 0) : 0),
    ),
    packing: options.packing ?? true,
    checkpointing: options.checkpointing ?? false,
    optimizer: options.optimizer ?? 'adamw',
    quantization: quantizationFor(options, config),
    dtype: options.dtype ?? dtypeIn(config),
  };
  const device = await planDevice(options.device ?? 'auto');
  const cost = await planRun(run, device);
  const memory = options.memory ?? device.memoryBytes;
  const fits = memory === undefined ? undefined : cost.bytes.peak <= memory;
  const hasRank = run.method === 'lora' || run.method === 'qlora';
  const all = run.method === 'full' ? cost.parameters : cost.parameters + cost.trainableParameters;
  return {
    model: name,
    model_type: shape.modelType,
    parameters: cost.parameters,
    method: run.method,
    r: hasRank ? run.r : null,
    target_modules: run.targetModules ?? (hasRank ? defaultTargets : null),
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

function idsAlone(tokens: PlanOptions['trainableTokens']): readonly number[] | undefined {
  return tokens?.map((token) => {
    if (typeof token === 'number') return token;
    throw new LowrankError({
      code: 'cli.tokens',
      what: `--trainable-tokens ${JSON.stringify(token)}`,
      expected: 'an id',
      got: 'a text',
      remedy: 'A plan reads no tokenizer: give ids, as many as there will be.',
    });
  });
}

/** Flags of other methods than the one that is planned. */
function checkOwn({ method = 'lora', virtualTokens, bottleneck, targetModules, ...lora }: PlanOptions): void {
  const refuse = (flag: string, right: string): never => {
    throw new LowrankError({
      code: 'cli.conflict',
      what: `${flag} with --method ${method}`,
      expected: 'one of the two',
      got: 'both',
      remedy: `Leave the flag out, or use --method ${right}.`,
    });
  };
  if (virtualTokens !== undefined && !takesPositions({ method })) refuse('--virtual-tokens', 'prompt or prefix');
  if (bottleneck !== undefined && method !== 'adapter') refuse('--bottleneck', 'adapter');
  if (targetModules !== undefined && (method === 'full' || takesPositions({ method })))
    refuse('--target-modules', 'lora, qlora, bitfit or adapter');
  if (method === 'lora' || method === 'qlora') return;
  const { dropout, modulesToSave, ensureWeightTying, trainableTokens } = lora;
  const given = Object.entries({
    '--dropout': dropout,
    '--modules-to-save': modulesToSave,
    '--ensure-weight-tying': ensureWeightTying,
    '--trainable-tokens': trainableTokens,
  }).find(([, value]) => value !== undefined);
  if (given !== undefined) refuse(given[0], 'lora or qlora');
}

function takesPositions({ method }: Pick<PlanOptions, 'method'>): boolean {
  return method === 'prompt' || method === 'prefix';
}

type Config = Readonly<Record<string, unknown>>;

async function readConfig({ config: text, model }: PlanOptions): Promise<{ name: string; config: Config }> {
  if ((text === undefined) === (model === undefined)) {
    throw new LowrankError({
      code: 'cli.conflict',
      what: '--config and --model',
      expected: 'one of the two',
      got: text === undefined ? 'neither' : 'both',
      remedy: `--config takes a config.json or one of ${Object.keys(commonConfigs).join(', ')}.`,
    });
  }
  if (model !== undefined) return { name: model, config: await readJson(await openFolder(model), 'config.json') };
  const name = text ?? '';
  const common = Object.keys(commonConfigs).find((key) => key.toLowerCase() === name.toLowerCase());
  if (common !== undefined) return { name: common, config: commonConfigs[common] ?? {} };
  const fail = (got: string): never => {
    throw new LowrankError({
      code: 'cli.config',
      what: `--config ${name}`,
      expected: `a config.json, or one of ${Object.keys(commonConfigs).join(', ')}`,
      got,
    });
  };
  const json = await readFile(name, 'utf8').catch(() => fail('no such file'));
  try {
    const value: unknown = JSON.parse(json);
    return {
      name,
      config:
        typeof value === 'object' && value !== null && !Array.isArray(value)
          ? (value as Config)
          : fail('JSON that is no object'),
    };
  } catch (error) {
    if (error instanceof SyntaxError) return fail(error.message);
    throw error;
  }
}

/** `qlora` is LoRA over a quantized base: NF4 unless the flags or the checkpoint say otherwise. */
function quantizationFor(options: PlanOptions, config: Config): QuantizationSettings | undefined {
  const { method, doubleQuantization } = options;
  const asked =
    method === 'qlora' && options.quantization === undefined
      ? { type: 'nf4' as const, doubleQuantization }
      : quantizationOf(options);
  if (asked === undefined || method !== 'full') return asked ?? (method === 'full' ? undefined : storedIn(config));
  throw new LowrankError({
    code: 'cli.conflict',
    what: '--quantization with --method full',
    expected: 'one of the two',
    got: 'both',
    remedy: 'Codes are frozen: plan adapters over them (--method qlora), or every weight as it is.',
  });
}

/** What a checkpoint says of itself. */
function storedIn(config: Config): QuantizationSettings | undefined {
  if (config['quantization_config'] === undefined) return undefined;
  const { type, doubleQuantization, skipModules } = parseQuantizationConfig(config['quantization_config']);
  return { type, skipModules, ...(type === 'int8' ? {} : { doubleQuantization }) };
}

function dtypeIn(config: Config): PlannedRun['dtype'] {
  const stored = config['dtype'] ?? config['torch_dtype'];
  const names: Readonly<Record<string, PlannedRun['dtype']>> = { bfloat16: 'bf16', float16: 'f16', float32: 'f32' };
  return planDtypes.find((dtype) => typeof stored === 'string' && names[stored] === dtype) ?? 'bf16';
}
