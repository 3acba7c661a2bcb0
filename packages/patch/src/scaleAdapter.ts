import { LowrankError } from '@lowrank/errors';
import { scalingAt } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';
import { layersWith, requireAdapter } from './adaptedLayers.js';
import { recordsOf } from './adapterRecords.js';
import { requireUnmerged } from './mergeGuards.js';

/**
 * Multiplies what an adapter adds: ΔW = strength·s·B·A in every layer (PEFT's `set_scale`). 1 is the adapter as it was
 * trained, 0 adds nothing. The factor is data of what is compiled, so nothing is compiled again. Saved files keep the
 * adapter's own scale; copies of modules and token rows have none, and stay as they are.
 *
 * @throws LowrankError `patch.noAdapter`, `patch.merged`, `patch.strength`
 */
export function scaleAdapter(model: Module, name: string, strength: number): void {
  requireUnmerged(model, 'changing the strength of an adapter');
  requireAdapter(model, name);
  if (!Number.isFinite(strength))
    throw new LowrankError({
      code: 'patch.strength',
      what: `the strength of the adapter ${name}`,
      expected: 'a number',
      got: String(strength),
    });
  const config = recordsOf(model).configs.get(name);
  if (config === undefined) return;
  for (const [path, , weights] of layersWith(model, name)) weights.scale.value = strength * scalingAt(config, path);
}
