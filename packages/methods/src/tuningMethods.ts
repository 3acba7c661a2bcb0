import { bitfit } from './bitfit.js';
import { bottleneckAdapter } from './bottleneckAdapter.js';
import type { MethodAdapter, MethodModel, Tuning, TuningMethod } from './method.js';
import { badConfig } from './methodConfig.js';
import { prefixTuning } from './prefixTuning.js';
import { promptTuning } from './promptTuning.js';

/** Every method by its name. */
export const tuningMethods = {
  bitfit,
  prompt: promptTuning,
  prefix: prefixTuning,
  adapter: bottleneckAdapter,
} as const;

export type MethodName = keyof typeof tuningMethods;

export const methodNames = Object.keys(tuningMethods) as readonly MethodName[];

/** Whether files of this `peft_type` are one of these methods'. */
export function isMethodType(peftType: unknown): boolean {
  return methodNames.some((name) => tuningMethods[name].peftTypes.includes(String(peftType)));
}

/** The method that a configuration is of. @throws LowrankError `methods.config` */
export function methodOf(
  config: MethodAdapter['config'],
  name = 'adapter_config.json',
): Pick<TuningMethod, 'title' | 'peftTypes' | 'attach'> & { readonly name: MethodName } {
  const type = config['peft_type'];
  const found = methodNames.find((method) => tuningMethods[method].peftTypes.includes(String(type)));
  if (found === undefined)
    return badConfig(
      `peft_type of ${name}`,
      methodNames.flatMap((method) => tuningMethods[method].peftTypes).join(', '),
      type,
    );
  return { ...tuningMethods[found], name: found };
}

/** Puts what was saved into a model. @throws LowrankError `methods.config`, `methods.mismatch`, `methods.taken` */
export async function attachMethod(model: MethodModel, adapter: MethodAdapter): Promise<Tuning> {
  return methodOf(adapter.config).attach(model, adapter);
}
