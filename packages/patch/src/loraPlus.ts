import type { TrainedParameter } from '@lowrank/nn';

/**
 * LoRA+ (Hayou et al. 2024): B learns `ratio` times as fast as A. As PEFT's `create_loraplus_optimizer` has it, so do
 * vectors (biases, magnitudes), and an embedding's matrices do not.
 *
 * @returns what the trainer takes
 */
export function withLoraPlus(
  parameters: readonly TrainedParameter[],
  ratio: number,
): (TrainedParameter & { readonly learningRateFactor: number })[] {
  return parameters.map((named) => ({
    ...named,
    learningRateFactor: named.name.endsWith('.lora_B') || named.parameter.tensor.shape.length === 1 ? ratio : 1,
  }));
}
