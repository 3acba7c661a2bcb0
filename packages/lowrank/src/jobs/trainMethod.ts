import type { TextTokenizer } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { MethodAdapter, MethodName, Tuning } from '@lowrank/methods';
import { attachMethod, methodOf, readMethod, serializeMethod, tuningMethods } from '@lowrank/methods';
import { writeFileAtomic } from '@lowrank/safetensors';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openAdapterFolder } from '../adapterFolder.js';
import type { OpenModel } from './openModel.js';
import type { Trainable } from './trainable.js';
import { isMethodFolder } from './trainable.js';

export const virtualInits = ['random', 'vocab', 'zero'] as const;

/** Flags of the methods that are no LoRA. */
export interface MethodFlags {
  /** Of prompt and prefix tuning; default 20. */
  readonly virtualTokens?: number;
  /** How they begin: random (default); vocab, of prompt tuning; zero, of prefix tuning. */
  readonly virtualInit?: (typeof virtualInits)[number];
  /** Prompt tuning begins as this text. */
  readonly promptInitText?: string;
  /** Width of bottleneck adapters; default 64. */
  readonly bottleneck?: number;
}

interface Flags extends MethodFlags {
  readonly targetModules?: readonly string[];
  readonly seed: number;
  readonly initAdapter?: string;
  readonly baseModel?: string;
}

/** What one of the other methods trains, new or to go on from, and how it is saved. */
export async function trainMethod(
  model: OpenModel,
  method: MethodName,
  flags: Flags,
  tokenizer?: TextTokenizer,
): Promise<Trainable> {
  const tuning =
    flags.initAdapter === undefined
      ? await injectNew(model, method, { flags, tokenizer })
      : await goOn(model, method, { flags, path: flags.initAdapter });
  return { parameters: tuning.parameters, save: async (folder) => saveMethod(await tuning.extract(), folder) };
}

/** The method in place, by the name that the command line has for it. */
export async function injectNew(
  { module, folder }: OpenModel,
  method: MethodName,
  { flags, tokenizer }: { flags: Flags; tokenizer: TextTokenizer | undefined },
): Promise<Tuning> {
  const { seed, virtualTokens, virtualInit, promptInitText, bottleneck, targetModules, baseModel = folder } = flags;
  const common = { seed, baseModel };
  const targets = targetModules?.length === 1 && targetModules[0] === 'all-linear' ? 'all-linear' : targetModules;
  switch (method) {
    case 'bitfit':
      return tuningMethods.bitfit.inject(module, { ...common, targetModules: targets });
    case 'adapter':
      return tuningMethods.adapter.inject(module, { ...common, bottleneck, targetModules: targets });
    case 'prefix':
      if (virtualInit === 'vocab') throw oneOf('--virtual-init with --method prefix', 'random or zero', virtualInit);
      return tuningMethods.prefix.inject(module, { ...common, virtualTokens, init: virtualInit });
    case 'prompt': {
      if (virtualInit === 'zero') throw oneOf('--virtual-init with --method prompt', 'random or vocab', virtualInit);
      // As PEFT does: with what the tokenizer puts around a text.
      const text =
        promptInitText === undefined || tokenizer === undefined
          ? undefined
          : { text: promptInitText, ids: tokenizer.encode(promptInitText) };
      return tuningMethods.prompt.inject(module, { ...common, virtualTokens, init: text ?? virtualInit });
    }
  }
}

function oneOf(what: string, expected: string, got: string): LowrankError {
  return new LowrankError({ code: 'cli.choice', what, expected, got });
}

/** A flag that says otherwise than the folder is a mistake, not a wish. */
async function goOn(
  { module }: OpenModel,
  method: MethodName,
  { flags, path }: { flags: Flags; path: string },
): Promise<Tuning> {
  const folder = await openAdapterFolder(path);
  const mismatch = (got: string, right: string): LowrankError =>
    new LowrankError({
      code: 'cli.conflict',
      what: `--init-adapter with --method ${method}`,
      expected: `a folder of ${tuningMethods[method].title}`,
      got,
      remedy: `Use --method ${right}.`,
    });
  if (!isMethodFolder(folder)) throw mismatch('LORA', 'lora');
  const adapter = await readMethod(folder);
  const { name, title } = methodOf(adapter.config);
  if (name !== method) throw mismatch(title, name);
  const asked = {
    '--virtual-tokens': ['num_virtual_tokens', flags.virtualTokens],
    '--bottleneck': ['bottleneck_size', flags.bottleneck],
    '--target-modules': ['target_modules', flags.targetModules],
  } as const;
  for (const [flag, [key, value]] of Object.entries(asked)) {
    const stored = adapter.config[key];
    if (value === undefined || String(value) === String(stored)) continue;
    throw new LowrankError({
      code: 'cli.conflict',
      what: `${flag} with --init-adapter`,
      expected: `${String(stored)}, which the adapter was made with`,
      got: String(value),
      remedy: `Leave ${flag} out, or start without --init-adapter.`,
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
