import type { TextTokenizer } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type {
  bitfitSettings,
  bottleneckSettings,
  MethodAdapter,
  MethodName,
  prefixSettings,
  promptSettings,
  Tuning,
} from '@lowrank/methods';
import { attachMethod, methodOf, readMethod, serializeMethod, tuningMethods } from '@lowrank/methods';
import { writeFileAtomic } from '@lowrank/safetensors';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { MergedOptions } from '@lowrank/settings';
import { openAdapterFolder } from '../adapterFolder.js';
import { checkSame } from '../settings/checkOptions.js';
import { methodTables, settingIn } from '../settings/methodTables.js';
import type { resumeSettings } from '../settings/runSettings.js';
import type { OpenModel } from './openModel.js';
import type { Trainable } from './trainable.js';
import { isMethodFolder } from './trainable.js';

type MethodTables =
  | typeof bitfitSettings
  | typeof bottleneckSettings
  | typeof prefixSettings
  | typeof promptSettings
  | typeof resumeSettings;

interface Options extends MergedOptions<MethodTables> {
  readonly seed: number;
  readonly baseModel?: string | undefined;
}

/** What one of the other methods trains, new or to go on from, and how it is saved. */
export async function trainMethod(
  model: OpenModel,
  method: MethodName,
  options: Options,
  tokenizer?: TextTokenizer,
): Promise<Trainable> {
  const tuning =
    options.initAdapter === undefined
      ? await injectNew(model, method, { options, tokenizer })
      : await goOn(model, method, { options, path: options.initAdapter });
  return { parameters: tuning.parameters, save: async (folder) => saveMethod(await tuning.extract(), folder) };
}

/** The method in place, by the name that the command line has for it. */
export async function injectNew(
  { module, folder }: OpenModel,
  method: MethodName,
  { options, tokenizer }: { options: Options; tokenizer: TextTokenizer | undefined },
): Promise<Tuning> {
  const { seed, virtualTokens, virtualInit, promptInitText, bottleneck, targetModules, baseModel = folder } = options;
  const common = { seed, baseModel };
  const targets = targetModules?.length === 1 && targetModules[0] === 'all-linear' ? 'all-linear' : targetModules;
  switch (method) {
    case 'bitfit':
      return tuningMethods.bitfit.inject(module, { ...common, targetModules: targets });
    case 'adapter':
      return tuningMethods.adapter.inject(module, { ...common, bottleneck, targetModules: targets });
    case 'prefix':
      return tuningMethods.prefix.inject(module, {
        ...common,
        virtualTokens,
        init: virtualInit === 'vocab' ? undefined : virtualInit,
      });
    case 'prompt': {
      // As PEFT does: with what the tokenizer puts around a text.
      const text =
        promptInitText === undefined || tokenizer === undefined
          ? undefined
          : { text: promptInitText, ids: tokenizer.encode(promptInitText) };
      return tuningMethods.prompt.inject(module, {
        ...common,
        virtualTokens,
        init: text ?? (virtualInit === 'zero' ? undefined : virtualInit),
      });
    }
  }
}

/** An option that says otherwise than the folder is a mistake, not a wish. */
async function goOn(
  { module }: OpenModel,
  method: MethodName,
  { options, path }: { options: Options; path: string },
): Promise<Tuning> {
  const folder = await openAdapterFolder(path);
  const mismatch = (got: string, right: string): LowrankError =>
    new LowrankError({
      code: 'cli.conflict',
      what: (names) => `${names('initAdapter')} with ${names('method', method)}`,
      expected: `a folder of ${tuningMethods[method].title}`,
      got,
      remedy: (names) => `Use ${names('method', right)}.`,
    });
  if (!isMethodFolder(folder)) throw mismatch('LORA', 'lora');
  const adapter = await readMethod(folder);
  const { name, title } = methodOf(adapter.config);
  if (name !== method) throw mismatch(title, name);
  for (const table of methodTables[method]) {
    const stored = (setting: string): string => String(adapter.config[settingIn([table], setting)?.key ?? '']);
    checkSame(table, options, {
      same: (setting, value) => String(value) === stored(setting),
      stored,
    });
  }
  return attachMethod(module, adapter);
}

async function saveMethod(adapter: MethodAdapter, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  // The configuration last, so that no folder looks like an adapter and is none.
  for (const [name, bytes] of Object.entries(serializeMethod(adapter)).reverse())
    await writeFileAtomic(join(folder, name), bytes);
}
