import { checkLoraConfig } from './checkConfig.js';
import type { LoraConfig } from './config.js';
import { loraConfig } from './config.js';

/** What can be chosen besides the layers' ranks. */
type Given = Partial<
  Pick<
    LoraConfig,
    | 'dropout'
    | 'fanInFanOut'
    | 'loraBias'
    | 'baseModel'
    | 'taskType'
    | 'autoMapping'
    | 'targetModules'
    | 'excludeModules'
    | 'layersToTransform'
    | 'layersPattern'
  >
>;

/**
 * A configuration by which these layers, and no others, have these ranks and one factor on BA: the paths as targets
 * unless targets are given, r the largest rank, patterns for the others.
 *
 * @param scaling the factor; alpha = scaling·r
 */
export function exactConfig(
  layers: ReadonlyMap<string, { readonly rank: number }>,
  scaling: number,
  given: Given,
): LoraConfig {
  const r = Math.max(...[...layers.values()].map(({ rank }) => rank));
  const others = [...layers].filter(([, { rank }]) => rank !== r);
  // ^ holds at the beginning of a path alone, so that no other path that ends alike is meant.
  const pattern = (value: (rank: number) => number): Record<string, number> =>
    Object.fromEntries(others.map(([path, { rank }]) => [`^${path.replaceAll('.', '\\.')}`, value(rank)]));
  const config = loraConfig({
    targetModules: [...layers.keys()],
    ...given,
    r,
    alpha: scaling * r,
    rankPattern: pattern((rank) => rank),
    alphaPattern: pattern((rank) => scaling * rank),
  });
  return checkLoraConfig(config);
}
