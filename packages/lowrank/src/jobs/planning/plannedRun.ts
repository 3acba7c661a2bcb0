import { LowrankError } from '@lowrank/errors';
import type { StoredCodes } from '@lowrank/gguf';
import type { QuantizationSettings } from '@lowrank/quant';
import { parseQuantizationConfig } from '@lowrank/quant';
import { defaultsOf } from '@lowrank/settings';
import type { DeviceName } from '../../device.js';
import type { CommonOptions } from '../../settings/methodTables.js';
import type { PlanMethodOptions } from '../../settings/planTables.js';
import { planCommonTables, planTables } from '../../settings/planTables.js';
import type { TaskName } from '../../tasks/task.js';
import { quantizationOf } from '../quantization.js';
import type { QuantizationOptions } from '../quantization.js';
import type { PlannedRun } from './planRun.js';
import type { TimeTargetName } from './time/timeTarget.js';
import { taskOfPlan } from './plannedTask.js';
import { outlined, planDtypes } from './planRun.js';

type Config = Readonly<Record<string, unknown>>;

/** A model's config.json, and its name for errors and the report. */
export interface NamedConfig {
  readonly name: string;
  readonly config: Config;
  /** Of the matrices of a GGUF file that it has in codes, by path. */
  readonly codes?: ReadonlyMap<string, StoredCodes> | undefined;
}

type Batching =
  | 'loss'
  | 'maxLength'
  | 'batchSize'
  | 'gradientAccumulation'
  | 'packing'
  | 'checkpointing'
  | 'memoryBudget'
  | 'precision'
  | 'optimizer';

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
  /** The device to tell the expected time on: a name of a data sheet, or `this`, which is measured for some seconds. */
  readonly on?: TimeTargetName | undefined;
  /** Of the run that `on` tells the time of. Default 1000. */
  readonly steps?: number | undefined;
  /** Default: what the config's class is for. */
  readonly task?: TaskName | undefined;
  /** Labels of its head. Default: those that the config names, else 2. */
  readonly numLabels?: number | undefined;
  /** Bytes that all may take: WebGPU does not report a GPU's memory. */
  readonly memory?: number;
}

/** The settings of a plan where nothing is given, where they are not those of a run. */
export const planDefaults = { r: 8, batchSize: 1, maxLength: 1024 } as const;

/** A run as its options and its model say it. @throws LowrankError what taskOfPlan and outlineModel throw */
export function plannedRun(options: PlanOptions, model: NamedConfig): PlannedRun {
  const { name, config, codes } = model;
  const task = taskOfPlan(options, model);
  const { maxPositions } = outlined({ config, task }, { name }).shape;
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
    task,
    method,
    dtype,
    trainableTokens: idsAlone(trainableTokens),
    // An image has as many positions as the model.
    maxLength:
      task?.task.kind === 'image' ? maxPositions : Math.min(run.maxLength, maxPositions - (run.virtualTokens ?? 0)),
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

/** How the base is quantized. `qlora` is LoRA over a quantized base: NF4 unless options or checkpoint say otherwise. */
function plannedQuantization(
  method: PlannedRun['method'],
  options: QuantizationOptions,
  config: Config,
): QuantizationSettings | undefined {
  const { quantization, doubleQuantization } = options;
  if (method === 'full') return quantizationOf(options);
  if (method === 'qlora' && quantization === undefined) return { type: 'nf4', doubleQuantization };
  return quantizationOf(options) ?? storedIn(config);
}

/** What a checkpoint says of itself. */
function storedIn(config: Config): QuantizationSettings | undefined {
  if (config['quantization_config'] === undefined) return undefined;
  const { type, doubleQuantization, skipModules } = parseQuantizationConfig(config['quantization_config']);
  return { type, skipModules, ...(type === 'int8' ? {} : { doubleQuantization }) };
}

/** The dtype that the weights are stored in. */
function dtypeIn(config: Config): PlannedRun['dtype'] {
  const stored = config['dtype'] ?? config['torch_dtype'];
  const names: Readonly<Record<string, PlannedRun['dtype']>> = { bfloat16: 'bf16', float16: 'f16', float32: 'f32' };
  return planDtypes.find((dtype) => typeof stored === 'string' && names[stored] === dtype) ?? 'bf16';
}
