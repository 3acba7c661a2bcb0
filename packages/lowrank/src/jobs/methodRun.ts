import type { TextTokenizer } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { AppliedMethod, Method, MethodContext, MethodName, OriginTensor, SavedMethod } from '@lowrank/methods';
import { methodNamed } from '@lowrank/methods';
import type { ModelFiles } from '@lowrank/models';
import { CausalModel, openModelWeights } from '@lowrank/models';
import { matchTargets } from '@lowrank/patch';
import type { QuantizationSettings } from '@lowrank/quant';
import { readAdapterFolder } from '../adapterFolder.js';
import { checkSame } from '../settings/checkOptions.js';
import type { EvaData } from './eva.js';
import { evaMeasure } from './eva.js';
import { loftqBase } from './loftq.js';
import type { OpenedModel } from './openModel.js';

/** Options of a run that methods may take. */
export type MethodRunOptions = Readonly<Record<string, unknown>> & {
  readonly initAdapter?: string | ModelFiles | undefined;
  /** What the adapter is for, as it was given: a hub id stays one. Default: the model's folder. */
  readonly baseModel?: string | undefined;
};

/** What a run has that some methods ask for. */
export interface MethodSources {
  readonly tokenizer?: (() => Promise<TextTokenizer>) | undefined;
  /** How the model was quantized while it was loaded: what LoftQ goes by. */
  readonly quantization?: QuantizationSettings | undefined;
  /** The rows that it is trained on: what EVA goes by. */
  readonly data?: (() => Promise<EvaData>) | undefined;
  readonly onWarning?: ((text: string) => void) | undefined;
  /** Of a run that goes on: its saved state is about to give all values. */
  readonly restored?: MethodContext['restored'];
}

/** Puts a method into a model: a new one, or one to go on from. */
export async function applyMethod(
  model: OpenedModel,
  name: MethodName,
  options: MethodRunOptions,
  sources: MethodSources = {},
): Promise<AppliedMethod> {
  const method = methodNamed(name);
  const { module, folder } = model;
  const context = contextOf(model, sources);
  const { initAdapter, baseModel = folder } = options;
  if (initAdapter === undefined) return method.inject(module, { ...options, baseModel }, context);
  const saved = await readAdapterFolder(initAdapter, context);
  if (saved.method !== method) throw otherMethod(method, saved.method);
  checkAgainst(model, saved, options);
  return method.attach(module, saved.stored, { ...context, resumed: options });
}

function contextOf(
  { module, files }: OpenedModel,
  { tokenizer, quantization, data, onWarning, restored }: MethodSources,
): MethodContext {
  return {
    tokenizer,
    onWarning,
    restored,
    measure:
      data && module instanceof CausalModel ? async (config) => evaMeasure(module, config, await data()) : undefined,
    ...(files && {
      loftq: async () => ({ base: await loftqBase(files, quantization) }),
      checkpoint: () => originTensors(files, module),
    }),
  };
}

async function originTensors(files: ModelFiles, module: OpenedModel['module']): Promise<OriginTensor[]> {
  const { file, pathOf } = await openModelWeights(files, module);
  const parts = [...module.children().keys()];
  // Tensors outside the model, such as a value head, have no path in it.
  const pathIn = (name: string): string | undefined => {
    const path = pathOf(name);
    return parts.some((part) => path?.startsWith(`${part}.`)) ? path : undefined;
  };
  return [...file.tensors.values()].map(({ name, dtype, shape }) => ({
    name,
    dtype,
    shape,
    path: pathIn(name),
    read: () => file.read(name),
  }));
}

function otherMethod({ name, title }: Method, found: Method): LowrankError {
  return new LowrankError({
    code: 'cli.conflict',
    what: (names) => `${names('initAdapter')} with ${names('method', name)}`,
    expected: `a folder of ${title}`,
    got: found.title,
    remedy: (names) => `Use ${names('method', found.name)}.`,
  });
}

/** The adapter rules; an option that says otherwise is a mistake, not a wish. */
function checkAgainst({ module }: OpenedModel, { method, stored }: SavedMethod, options: MethodRunOptions): void {
  const made = method.optionsOf(stored);
  const paths = (targets: unknown): string => {
    const targetModules = targets as readonly string[] | string;
    const all = targetModules.length === 1 && targetModules[0] === 'all-linear';
    return [...matchTargets(module, { ...made, targetModules: all ? 'all-linear' : targetModules }).keys()].join();
  };
  const same = (name: string, value: unknown): boolean =>
    String(value) === String(made[name]) || (name === 'targetModules' && paths(value) === paths(made[name]));
  for (const table of method.settings) checkSame(table, options, { same, stored: (name) => String(made[name]) });
}
