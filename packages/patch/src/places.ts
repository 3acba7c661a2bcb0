import { LoraLayer, TokenRows } from '@lowrank/lora';
import type { Module, Parameter } from '@lowrank/nn';
import { TiedLinear } from '@lowrank/nn';

/**
 * Every place of the base by its path as it would be without adapters, an output projection over the embedding's table
 * among them.
 */
export function* placesOf(model: Module): Generator<readonly [path: string, parameter: Parameter]> {
  const own = (path: string): string => path.replaceAll('.base_layer', '');
  for (const [path, module] of [['', model] as const, ...model.namedModules()]) {
    if (module instanceof TiedLinear) yield [`${own(path)}.weight`, module.weight];
    if (module instanceof LoraLayer || module instanceof TokenRows) continue;
    for (const [name, parameter] of module.ownParameters())
      yield [path === '' ? name : `${own(path)}.${name}`, parameter];
  }
}
