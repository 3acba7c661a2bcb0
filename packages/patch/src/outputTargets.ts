import { LowrankError } from '@lowrank/errors';
import type { LoraConfig } from '@lowrank/lora';
import { variantOf } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';
import { Embedding, TiedLinear } from '@lowrank/nn';
import type { Adaptable } from './targets.js';

/**
 * Refuses what an output projection cannot do, before anything is changed: the loss computes its logits itself, as a
 * sum of products. A model without one has no `outputPath`.
 *
 * @throws LowrankError `patch.output`
 */
export function checkOutput(model: Module, targets: ReadonlyMap<string, Adaptable>, config: LoraConfig): void {
  const { outputPath } = model;
  checkTied(model, targets, config);
  if (outputPath === undefined || !targets.has(outputPath) || variantOf(config).terms !== undefined) return;
  throw new LowrankError({
    code: 'patch.output',
    what: `a variant at ${outputPath}`,
    expected: 'plain LoRA or rsLoRA: logits are made chunk by chunk within the loss',
    got: 'one that adds something other than products (DoRA)',
    remedy: `Leave ${outputPath} out of the target modules, or use_dora off.`,
  });
}

/**
 * PEFT's `ensure_weight_tying` over LoRA gives an output projection the embedding's A and B, turned round, and lets
 * each of the two train them: what becomes of them depends on the optimizer.
 */
function checkTied(
  model: Module,
  targets: ReadonlyMap<string, Adaptable>,
  { ensureWeightTying = false }: LoraConfig,
): void {
  if (!ensureWeightTying) return;
  const base = (layer: Module): Module => ('base' in layer ? (layer.base as Module) : layer);
  const head = [...model.namedModules()].flatMap(([, module]) =>
    base(module) instanceof TiedLinear ? [base(module) as TiedLinear] : [],
  )[0];
  const found = [...targets].find(
    ([, layer]) =>
      base(layer) === head || (base(layer) instanceof Embedding && (base(layer) as Embedding).weight === head?.source),
  );
  if (head === undefined || found === undefined) return;
  throw new LowrankError({
    code: 'patch.output',
    what: `ensure_weight_tying with LoRA at ${found[0]}`,
    expected: 'modules saved whole, or token rows, where tied weights are to stay tied',
    got: 'an embedding or its output projection among the targets',
    remedy: 'Set ensure_weight_tying off, or name it in modules_to_save.',
  });
}
