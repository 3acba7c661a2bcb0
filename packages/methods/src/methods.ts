import { bitfit } from './bitfit.js';
import { bottleneckAdapter } from './bottleneckAdapter.js';
import { fullFineTuning } from './full.js';
import { ia3 } from './ia3.js';
import { lora } from './lora.js';
import type { AdapterSource, Method, MethodContext } from './method.js';
import { badConfig } from './methodConfig.js';
import { jsonObject } from './peftFiles.js';
import { prefixTuning } from './prefixTuning.js';
import { promptTuning } from './promptTuning.js';
import { subspace } from './subspace.js';

/** Every method by its name. */
export const methods = {
  lora,
  full: fullFineTuning,
  bitfit,
  prompt: promptTuning,
  prefix: prefixTuning,
  adapter: bottleneckAdapter,
  ia3,
  subspace,
} as const;

/** A method of fine-tuning by its name, as `--method` takes it. */
export type MethodName = keyof typeof methods;

/** The methods of fine-tuning, in the order in which help lists them. */
export const methodNames = Object.keys(methods) as readonly MethodName[];

/** The method of a name. */
export function methodNamed(name: MethodName): Method {
  return methods[name];
}

/** What is compared and planned: a method, or one over codes under a name of its own. */
export interface Contender {
  readonly name: ContenderName;
  readonly method: MethodName;
  /** Over a base that is quantized, whatever else is asked for. */
  readonly overCodes: boolean;
}

/** What `compare` and `plan` call a method: its name, or `qlora` for LoRA over 4-bit codes. */
export type ContenderName = Exclude<MethodName, 'subspace'> | 'qlora';

/** Every method that has learning rates to be compared with, each also over codes where it has a name for that. */
export const contenders: readonly Contender[] = methodNames.flatMap((method): Contender[] => {
  const { learningRates, nameOverCodes } = methodNamed(method);
  if (learningRates === undefined) return [];
  const plain = { name: method as ContenderName, method, overCodes: false };
  if (nameOverCodes === undefined) return [plain];
  return [plain, { name: nameOverCodes as ContenderName, method, overCodes: true }];
});

/** The names that `compare` and `plan` take. */
export const contenderNames: readonly ContenderName[] = contenders.map(({ name }) => name);

/** The contender of a name. */
export function contenderNamed(name: ContenderName): Contender {
  const found = contenders.find((contender) => contender.name === name);
  if (found === undefined) throw new TypeError(name);
  return found;
}

/** The method that a folder's configuration is of. @throws LowrankError `methods.config` */
export function methodOf(config: unknown, name = 'adapter'): Method {
  const type = jsonObject(config, name)['peft_type'];
  const all: readonly Method[] = Object.values(methods);
  return (
    all.find(({ peftTypes }) => peftTypes.includes(String(type))) ??
    badConfig(`peft_type of ${name}`, all.flatMap(({ peftTypes }) => peftTypes).join(', '), type)
  );
}

/** What a folder holds, and the method that it is of: what the method's other members take. */
export interface SavedMethod {
  readonly method: Method;
  readonly stored: unknown;
}

/** Reads what any method has saved. @throws LowrankError `methods.config`, and what the method's `read` throws */
export async function readMethod(source: AdapterSource, context?: MethodContext): Promise<SavedMethod> {
  const method = methodOf(source.config, source.name);
  return { method, stored: await method.read(source, context) };
}
