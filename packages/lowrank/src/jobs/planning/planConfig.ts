import { LowrankError } from '@lowrank/errors';
import type { StoredCodes } from '@lowrank/gguf';
import { openFolder, readJson, storedCodes } from '@lowrank/models';
import type { QuantizationSettings } from '@lowrank/quant';
import { parseQuantizationConfig } from '@lowrank/quant';
import { readFile } from 'node:fs/promises';
import { quantizationOf } from '../quantization.js';
import type { QuantizationOptions } from '../quantization.js';
import { commonConfigs } from './commonConfigs.js';
import type { PlannedRun } from './planRun.js';
import { planDtypes } from './planRun.js';

type Config = Readonly<Record<string, unknown>>;

/** A model's config.json, and its name for errors and the report. */
export interface NamedConfig {
  readonly name: string;
  readonly config: Config;
  /** Of the matrices of a GGUF file that it has in codes, by path. */
  readonly codes?: ReadonlyMap<string, StoredCodes> | undefined;
}

/**
 * @param given a config.json or the name of a common model, or a model folder
 * @throws LowrankError `cli.config`, and `cli.conflict` for both or neither
 */
export async function readModelConfig(given: {
  readonly config?: string | undefined;
  readonly model?: string | undefined;
}): Promise<NamedConfig> {
  const { config: text, model } = given;
  if (text === undefined && model !== undefined) {
    const files = await openFolder(model);
    return { name: model, config: await readJson(files, 'config.json'), codes: await storedCodes(files) };
  }
  if (text !== undefined && model === undefined) return commonConfig(text) ?? fileConfig(text);
  throw new LowrankError({
    code: 'cli.conflict',
    what: (names) => `${names('config')} and ${names('model')}`,
    expected: 'one of the two',
    got: text === undefined ? 'neither' : 'both',
    remedy: (names) => `${names('config')} takes a config.json or one of ${commonNames()}.`,
  });
}

function commonConfig(name: string): NamedConfig | undefined {
  const common = Object.keys(commonConfigs).find((key) => key.toLowerCase() === name.toLowerCase());
  return common === undefined ? undefined : { name: common, config: commonConfigs[common] ?? {} };
}

async function fileConfig(name: string): Promise<NamedConfig> {
  const fail = (got: string): LowrankError =>
    new LowrankError({
      code: 'cli.config',
      what: (names) => `${names('config')} ${name}`,
      expected: `a config.json, or one of ${commonNames()}`,
      got,
    });
  const json = await readFile(name, 'utf8').catch(() => Promise.reject(fail('no such file')));
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error));
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw fail('JSON that is no object');
  return { name, config: value as Config };
}

function commonNames(): string {
  return Object.keys(commonConfigs).join(', ');
}

/** How the base is quantized. `qlora` is LoRA over a quantized base: NF4 unless options or checkpoint say otherwise. */
export function plannedQuantization(
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
export function dtypeIn(config: Config): PlannedRun['dtype'] {
  const stored = config['dtype'] ?? config['torch_dtype'];
  const names: Readonly<Record<string, PlannedRun['dtype']>> = { bfloat16: 'bf16', float16: 'f16', float32: 'f32' };
  return planDtypes.find((dtype) => typeof stored === 'string' && names[stored] === dtype) ?? 'bf16';
}
