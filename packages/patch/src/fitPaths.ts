import type { LoraAdapter, LoraConfig } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';

/**
 * An adapter under the paths that the model has: files of other versions call some modules otherwise (Gemma 3 before
 * transformers 4.52), and an adapter of a model of text and images may have matrices that the text part has no place
 * for, which are left out.
 *
 * @param onWarning gets a sentence about those
 */
export function fitPaths(model: Module, adapter: LoraAdapter, onWarning?: (text: string) => void): LoraAdapter {
  const { config, layers, whole = new Map(), tokens = new Map() } = adapter;
  const lost = new Set<string>();
  const renamed = <Value>(entries: ReadonlyMap<string, Value>): Map<string, Value> =>
    new Map(
      [...entries].flatMap(([name, value]): [string, Value][] => {
        const path = model.pathOf(name);
        if (path === undefined) lost.add(name);
        return path === undefined ? [] : [[path, value]];
      }),
    );
  const parts = { layers: renamed(layers), whole: renamed(whole), tokens: renamed(tokens) };
  if (lost.size > 0) {
    const [first = ''] = lost;
    onWarning?.(
      `the adapter has ${lost.size} tensors or layers for other parts than text, such as ${first}, which this model ` +
        'leaves out: the text part is taken',
    );
  }
  const kept = layers.size === parts.layers.size && [...parts.layers.keys()].every((path) => layers.has(path));
  return { ...adapter, ...parts, config: kept ? config : fitConfig(model, config, [...layers.keys()]) };
}

/**
 * Names in lists that are paths; patterns match what they match. A name of several layers that the model calls
 * differently, such as ViT's `dense`, becomes all of theirs.
 */
function fitConfig(model: Module, config: LoraConfig, stored: readonly string[]): LoraConfig {
  const lastOf = (path: string): string => path.slice(path.lastIndexOf('.') + 1);
  const namesOf = (name: string): string[] => {
    const path = model.pathOf(name);
    if (path !== name || name.includes('.')) return path === undefined ? [] : [path];
    const layers = stored.filter((layer) => layer.endsWith(`.${name}`)).flatMap((layer) => model.pathOf(layer) ?? []);
    return layers.length === 0 ? [name] : layers.map(lastOf);
  };
  const names = (list: readonly string[]): string[] => [...new Set(list.flatMap(namesOf))];
  const { targetModules, modulesToSave } = config;
  return {
    ...config,
    targetModules: typeof targetModules === 'string' ? targetModules : names(targetModules),
    ...(modulesToSave === undefined ? {} : { modulesToSave: names(modulesToSave) }),
  };
}
