import { LowrankError } from '@lowrank/errors';
import { methodNames } from '@lowrank/methods';
import type { QuantizationFlags } from './quantization.js';
import { checkSubspaceFlags } from './subspace.js';
import type { SubspaceFlags } from './subspace.js';
import type { MethodFlags } from './trainMethod.js';
import { variantFlags } from './variantFlags.js';
import type { VariantFlags } from './variantFlags.js';

export const methods = ['lora', 'full', ...methodNames, 'subspace'] as const;

export type Method = (typeof methods)[number];

/** What of a run's options goes with some methods and not with others. */
interface Flags extends QuantizationFlags, VariantFlags, MethodFlags, SubspaceFlags {
  readonly method?: Method;
  readonly r?: number;
  readonly alpha?: number;
  readonly dropout?: number;
  readonly targetModules?: readonly string[];
  readonly initAdapter?: string;
}

/** Flags that belong to some methods alone, with what they were given as. */
function ownFlags(options: Flags): readonly (readonly [flag: string, value: unknown, methods: readonly Method[]])[] {
  const of = (
    methods: readonly Method[],
    flags: Readonly<Record<string, unknown>>,
  ): [string, unknown, readonly Method[]][] => Object.entries(flags).map(([flag, value]) => [flag, value, methods]);
  return [
    ...of(['lora'], { '--r': options.r, '--alpha': options.alpha, '--dropout': options.dropout }),
    ...of(['lora', 'bitfit', 'adapter'], { '--target-modules': options.targetModules }),
    ...of(['lora', 'bitfit', 'prompt', 'prefix', 'adapter'], { '--init-adapter': options.initAdapter }),
    ...of(['lora'], variantFlags(options)),
    ...of(['prompt', 'prefix'], { '--virtual-tokens': options.virtualTokens, '--virtual-init': options.virtualInit }),
    ...of(['prompt'], { '--prompt-init-text': options.promptInitText }),
    ...of(['adapter'], { '--bottleneck': options.bottleneck }),
  ];
}

/** @throws LowrankError `cli.conflict` for flags that exclude each other */
export function checkFlags(options: Flags): void {
  const { method = 'lora' } = options;
  if ((method === 'full' || method === 'subspace') && options.quantization !== undefined) {
    throw new LowrankError({
      code: 'cli.conflict',
      what: `--quantization with --method ${method}`,
      expected: 'one of the two',
      got: 'both',
      remedy: 'Codes are frozen: train adapters over them (--method lora), or every weight as it is.',
    });
  }
  checkBegun(options);
  checkSubspaceFlags(options);
  if (options.virtualInit !== undefined && options.promptInitText !== undefined)
    throw new LowrankError({
      code: 'cli.conflict',
      what: '--virtual-init with --prompt-init-text',
      expected: 'one of the two',
      got: 'both',
    });
  if (options.initLoraWeights === 'loftq' && options.quantization === undefined) {
    throw new LowrankError({
      code: 'cli.conflict',
      what: '--init-lora-weights loftq',
      expected: '--quantization nf4, fp4 or int8 beside it',
      got: 'no --quantization',
      remedy: 'LoftQ makes up for what quantization loses; without it there is nothing to make up for.',
    });
  }
  const ofEva =
    options.evaRho !== undefined ? '--eva-rho' : options.evaBatches !== undefined ? '--eva-batches' : undefined;
  if (ofEva !== undefined && options.initLoraWeights !== 'eva' && method === 'lora') {
    throw new LowrankError({
      code: 'cli.conflict',
      what: ofEva,
      expected: '--init-lora-weights eva beside it',
      got: options.initLoraWeights ?? 'no --init-lora-weights',
      remedy: `Leave ${ofEva} out, or begin with EVA.`,
    });
  }
  const strange = ownFlags(options).find(([, value, methods]) => value !== undefined && !methods.includes(method));
  if (strange === undefined) return;
  const [flag, , methods] = strange;
  const whole = 'Every weight is trained then, and there are no adapters; leave the flag out, or use --method lora.';
  throw new LowrankError({
    code: 'cli.conflict',
    what: `${flag} with --method ${method}`,
    expected: 'one of the two',
    got: 'both',
    remedy:
      (method === 'full' || method === 'subspace') && methods.includes('lora')
        ? whole
        : `Leave the flag out, or use --method ${methods.join(' or ')}.`,
  });
}

/** How something begins is no question where it goes on. */
function checkBegun(options: Flags): void {
  if (options.initAdapter === undefined) return;
  const beginnings = {
    ...variantFlags(options),
    '--lora-plus-ratio': undefined,
    '--virtual-init': options.virtualInit,
    '--prompt-init-text': options.promptInitText,
  };
  const begun = Object.entries(beginnings).find(([, value]) => value !== undefined);
  if (begun !== undefined)
    throw new LowrankError({
      code: 'cli.conflict',
      what: `${begun[0]} with --init-adapter`,
      expected: 'one of the two',
      got: 'both',
      remedy: 'An adapter to go on from has begun already, and says itself what it is.',
    });
}
