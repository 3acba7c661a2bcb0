import { LowrankError, shown } from '@lowrank/errors';
import type { FloatDtype } from './numeric/floats.js';
import { isFourBitType } from './fourBit.js';
import type { QuantizationType } from './quantizedTensor.js';

/** `quantization_config` of a model's config.json, as far as it concerns how weights are stored. */
export interface QuantizationConfig {
  readonly type: QuantizationType;
  /** Of a 4-bit type: scales are quantized too. A weight's own quant_state says what it really has. */
  readonly doubleQuantization: boolean;
  /** In which bitsandbytes multiplies. Lowrank accumulates in f32 whatever it says. */
  readonly computeDtype: FloatDtype;
  /** Modules that are not quantized, as transformers matches them; undefined for its default: the output projection. */
  readonly skipModules?: readonly string[] | undefined;
}

const computeDtypes: Readonly<Record<string, FloatDtype>> = { float32: 'f32', float16: 'f16', bfloat16: 'bf16' };
const storages = ['uint8', 'int8', 'float16', 'bfloat16', 'float32', 'float64'];

/** As transformers writes it: every key of BitsAndBytesConfig, in its order. */
export function serializeQuantizationConfig({
  type,
  doubleQuantization,
  computeDtype,
  skipModules,
}: QuantizationConfig): Record<string, unknown> {
  const fourBit = type !== 'int8';
  return {
    _load_in_4bit: fourBit,
    _load_in_8bit: !fourBit,
    bnb_4bit_compute_dtype:
      Object.keys(computeDtypes).find((name) => computeDtypes[name] === computeDtype) ?? 'float32',
    bnb_4bit_quant_storage: 'uint8',
    bnb_4bit_quant_type: fourBit ? type : 'fp4',
    bnb_4bit_use_double_quant: fourBit && doubleQuantization,
    llm_int8_enable_fp32_cpu_offload: false,
    llm_int8_has_fp16_weight: false,
    llm_int8_skip_modules: skipModules === undefined ? null : [...skipModules],
    llm_int8_threshold: 6,
    load_in_4bit: fourBit,
    load_in_8bit: !fourBit,
    quant_method: 'bitsandbytes',
  };
}

/**
 * A config.json with its `quantization_config`, everything else as it was, to the character: numbers such as 10000.0
 * and 1e-05 keep their spelling.
 *
 * @param text of a config.json without one
 * @throws LowrankError `quant.config` where that is no JSON object, or has one already
 */
export function withQuantizationConfig(text: string, config: QuantizationConfig, where = 'config.json'): string {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw bad(where, 'JSON', cause instanceof Error ? cause.message : 'none');
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw bad(where, 'a JSON object', json);
  if ('quantization_config' in json)
    throw bad(`quantization_config in ${where}`, 'none yet', Reflect.get(json, 'quantization_config'));
  // Python's bitsandbytes wants a float where JSON has but numbers.
  const added = JSON.stringify(serializeQuantizationConfig(config), undefined, 2)
    .replace('"llm_int8_threshold": 6,', '"llm_int8_threshold": 6.0,')
    .replaceAll('\n', '\n  ');
  const body = text.trimEnd().slice(0, -1).trimEnd();
  return `${body}${body.endsWith('{') ? '' : ','}\n  "quantization_config": ${added}\n}\n`;
}

/**
 * Reads the `quantization_config` of a config.json.
 *
 * @param where what errors call the file
 * @throws LowrankError `quant.method` (a method that is not bitsandbytes), `quant.config`
 */
export function parseQuantizationConfig(value: unknown, where = 'config.json'): QuantizationConfig {
  const what = `quantization_config in ${where}`;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(what, 'an object', value);
  const config = value as Readonly<Record<string, unknown>>;
  const fourBit = flag(config, 'load_in_4bit', what);
  const eightBit = flag(config, 'load_in_8bit', what);
  checkMethod(config['quant_method'], fourBit || eightBit, what);
  if (fourBit === eightBit)
    throw bad(`${what}, load_in_4bit and load_in_8bit`, 'one of them', `${fourBit ? 'both' : 'neither'}`);
  // transformers' own default.
  const type = eightBit ? 'int8' : (config['bnb_4bit_quant_type'] ?? 'fp4');
  if (type !== 'int8' && !isFourBitType(type)) throw bad(`${what}, bnb_4bit_quant_type`, 'nf4 or fp4', type);
  const dtype = config['bnb_4bit_compute_dtype'] ?? 'float32';
  const computeDtype = typeof dtype === 'string' ? computeDtypes[dtype.replace(/^torch\./, '')] : undefined;
  if (computeDtype === undefined)
    throw bad(`${what}, bnb_4bit_compute_dtype`, Object.keys(computeDtypes).join(', '), dtype);
  const storage = config['bnb_4bit_quant_storage'] ?? 'uint8';
  if (typeof storage !== 'string' || !storages.includes(storage))
    throw bad(`${what}, bnb_4bit_quant_storage`, storages.join(', '), storage);
  if (flag(config, 'llm_int8_has_fp16_weight', what))
    throw bad(`${what}, llm_int8_has_fp16_weight`, 'false: weights in 8 bits', true);
  return {
    type,
    doubleQuantization: type !== 'int8' && flag(config, 'bnb_4bit_use_double_quant', what),
    computeDtype,
    skipModules: skipModulesOf(config, what),
  };
}

/** Old files have no quant_method, and then are bitsandbytes'. */
function checkMethod(method: unknown, known: boolean, what: string): void {
  if (method === 'bitsandbytes' || (method === undefined && known)) return;
  throw new LowrankError({
    code: 'quant.method',
    what: `${what}, quant_method`,
    expected: 'bitsandbytes (NF4, FP4 or INT8)',
    got: shown(method),
    remedy:
      typeof method === 'string'
        ? `Lowrank does not read ${method} weights: use the model's 16-bit weights, and --quantization nf4 to ` +
          'hold them in 4 bits.'
        : 'Download the whole folder again.',
  });
}

function skipModulesOf(config: Readonly<Record<string, unknown>>, what: string): string[] | undefined {
  const modules = config['llm_int8_skip_modules'] ?? undefined;
  if (modules === undefined) return undefined;
  if (Array.isArray(modules) && modules.every((name): name is string => typeof name === 'string')) return modules;
  throw bad(`${what}, llm_int8_skip_modules`, 'a list of names', modules);
}

function flag(config: Readonly<Record<string, unknown>>, key: string, what: string): boolean {
  const value = config[key] ?? config[`_${key}`] ?? false;
  if (typeof value === 'boolean') return value;
  throw bad(`${what}, ${key}`, 'true or false', value);
}

/**
 * Whether transformers would leave a module unquantized for one of these names: the beginning of its path, or a regular
 * expression that matches there, up to a dot; or the end of its path (`should_convert_module`).
 */
export function isSkipped(path: string, skipModules: readonly string[] = []): boolean {
  return skipModules.some((name) => path.endsWith(name) || expressionOf(name).test(path));
}

function expressionOf(name: string): RegExp {
  try {
    return new RegExp(`^(?:${name})(?:(?<=\\.)|(?=\\.|$))`);
  } catch (cause) {
    throw new LowrankError({
      code: 'quant.config',
      what: `the module to skip ${JSON.stringify(name)}`,
      expected: 'a name or a regular expression',
      got: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}

function bad(what: string, expected: string, got: unknown): LowrankError {
  return new LowrankError({
    code: 'quant.config',
    what,
    expected,
    got: typeof got === 'string' ? got : shown(got),
  });
}
