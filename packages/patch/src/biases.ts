import type { LoraConfig } from '@lowrank/lora';
import { LoraLayer } from '@lowrank/lora';
import type { Module, Parameter } from '@lowrank/nn';

/**
 * The base's biases that an adapter's configuration trains along, in place: of the adapted layers ('lora_only'), or of
 * all; not those that it has copies of. By their names in PEFT's files.
 */
export function biasesOf(
  model: Module,
  adapter: string,
  { bias = 'none' }: Partial<Pick<LoraConfig, 'bias'>>,
): { name: string; parameter: Parameter }[] {
  if (bias === 'none') return [];
  const adapted = new Set(
    [...model.namedModules()].flatMap(([path, module]) =>
      module instanceof LoraLayer ? [`${path}.base_layer.bias`] : [],
    ),
  );
  const wanted = (name: string): boolean =>
    bias === 'all' ? name.endsWith('.bias') && !name.includes('.lora_') : adapted.has(name);
  return [...model.namedParameters()].flatMap(([name, parameter]) =>
    wanted(name) && !parameter.copies.has(adapter) ? [{ name, parameter }] : [],
  );
}
