import { LowrankError } from '@lowrank/errors';
import type { LoraConfig } from '@lowrank/lora';
import { variantOf } from '@lowrank/lora';
import type { Adaptable, TargetOptions } from './targets.js';

/**
 * What an output projection cannot do, before anything is changed: its logits are made within the loss, of products. A model that has none says so by leaving out `outputPath`.
 *
 * @throws LowrankError `patch.output`
 */
export function checkOutput(targets: ReadonlyMap<string, Adaptable>, config: LoraConfig, { outputPath }: TargetOptions): void {
  if (outputPath === undefined || !targets.has(outputPath) || variantOf(config).terms !== undefined) return;
  throw new LowrankError({ code: 'patch.output', what: `a variant at ${outputPath}`, expected: 'plain LoRA or rsLoRA: logits are made chunk by chunk within the loss', got: 'one that is no sum of products (DoRA)', remedy: `Leave ${outputPath} out of the target modules, or use_dora off.` });
}
