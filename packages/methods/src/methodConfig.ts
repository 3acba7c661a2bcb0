import { LowrankError, shown } from '@lowrank/errors';
import type { MethodAdapter, MethodModel, SharedOptions } from './method.js';

type Config = MethodAdapter['config'];

/** adapter_config.json of a new one: what every method of PEFT says, and this one's own. */
export function newConfig(
  own: Config,
  { baseModel }: SharedOptions,
  {
    taskType = 'CAUSAL_LM',
    autoMapping,
    headModules = [],
  }: Pick<MethodModel, 'taskType' | 'autoMapping' | 'headModules'>,
): Config {
  return {
    auto_mapping: autoMapping ?? null,
    base_model_name_or_path: baseModel ?? null,
    inference_mode: true,
    modules_to_save: headModules.length > 0 ? headModules : null,
    revision: null,
    task_type: taskType,
    ...own,
  };
}

/** @throws LowrankError `methods.config` */
export function badConfig(key: string, expected: string, got: unknown, remedy?: string): never {
  throw new LowrankError({
    code: 'methods.config',
    what: `${key} in adapter_config.json`,
    expected,
    got: shown(got),
    remedy,
  });
}

export function wholeNumber(config: Config, key: string, min = 1): number {
  const value = config[key];
  return typeof value === 'number' && Number.isInteger(value) && value >= min
    ? value
    : badConfig(key, `a whole number of at least ${min}`, value);
}

/** Names of modules, or a regular expression. */
export function targetsIn(config: Config, key = 'target_modules'): readonly string[] | string {
  const value = config[key];
  const fits = typeof value === 'string' || (Array.isArray(value) && value.every((item) => typeof item === 'string'));
  return fits ? (value as readonly string[] | string) : badConfig(key, 'a string or a list of strings', value);
}

/** `modules_to_save` other than the head of the model's task. @throws LowrankError `methods.config` */
export function refuseSaved(config: Config, { headModules = [] }: Pick<MethodModel, 'headModules'>): void {
  const saved = config['modules_to_save'];
  if (Array.isArray(saved) && saved.every((name) => headModules.includes(String(name)))) return;
  refuseSet(config, ['modules_to_save']);
}

/** Settings that would change what is computed and that these methods do not have. */
export function refuseSet(config: Config, keys: readonly string[]): void {
  for (const key of keys) {
    const value = config[key];
    if (value !== undefined && value !== null && value !== false && !(Array.isArray(value) && value.length === 0))
      badConfig(key, 'a setting that Lowrank supports (off)', value, 'Train the adapter without it.');
  }
}
