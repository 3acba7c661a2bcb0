import { LowrankError } from '@lowrank/errors';
import type { LoraConfig } from '@lowrank/lora';
import { variantOf } from '@lowrank/lora';
import type { Adaptable, TargetOptions } from './targets.js';

/** What an output projection cannot do, before anything is changed. @throws LowrankError `patch.output` */
export function checkOutput(targets: ReadonlyMap<string, Adaptable>, config: LoraConfig, { outputPath = 'lm_head' }: TargetOptions): void {
  if (!targets.has(outputPath)) return;
  const fail = (what: string, got: string, remedy: string): never => {
    throw new LowrankError({ code: 'patch.output', what: `${what} at ${outputPath}`, expected: 'plain LoRA or rsLoRA: logits are made chunk by chunk within the loss', got, remedy });
  };
  if (variantOf(config).terms === undefined) fail('a variant', 'one that is no sum of products (DoRA)', `Leave ${outputPath} out of the target modules, or use_dora off.`);
}
