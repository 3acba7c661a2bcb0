import { TiedLinear } from '@lowrank/nn';
import type { LoraAdapter } from '@lowrank/lora';
import type { CheckpointTensor } from '@lowrank/patch';
import type { MethodModel } from './method.js';

interface Untied {
  readonly adapter: LoraAdapter;
  readonly tensors: readonly CheckpointTensor[];
  /** Whether the output projection now has a tensor of its own, so that `tie_word_embeddings` is false. */
  readonly parted: boolean;
}

/**
 * An adapter and the tensors of its model, ready to be merged, where the output projection is the embedding's table: if
 * the adapter changes only one of the two, or each in its own way, the output projection gets a tensor of its own, as
 * PEFT unties them; if both stay one (`ensure_weight_tying`, or token rows that follow), what the adapter says of the
 * output projection is left out, since the table says it.
 */
export function untie(model: MethodModel, adapter: LoraAdapter, tensors: readonly CheckpointTensor[]): Untied {
  const { outputPath } = model;
  if (outputPath === undefined) return { adapter, tensors, parted: false };
  const head = model.children().get(outputPath);
  const table =
    head instanceof TiedLinear
      ? [...model.namedParameters()].find(([, parameter]) => parameter === head.source)?.[0]
      : undefined;
  const stored = tensors.find(({ name }) => name === table);
  if (table === undefined || stored === undefined) return { adapter, tensors, parted: false };
  const { config, layers, whole = new Map(), tokens = new Map() } = adapter;
  const name = `${outputPath}.weight`;
  const ofOutput = `${outputPath}.base_layer.weight`;
  if (config.ensureWeightTying === true && whole.has(table) && whole.has(name))
    return { adapter: { ...adapter, whole: without(without(whole, name), ofOutput) }, tensors, parted: false };
  if (config.peftType === 'TRAINABLE_TOKENS' && tokens.has(outputPath))
    return {
      adapter: { ...adapter, whole: without(whole, ofOutput), tokens: without(tokens, outputPath) },
      tensors,
      parted: false,
    };
  const path = table.replace(/\.weight$/, '');
  const apart =
    layers.has(outputPath) || layers.has(path) || tokens.has(outputPath) || whole.has(name) || whole.has(table);
  // What was saved along of the output projection is the table's.
  if (!apart) {
    if (!whole.has(ofOutput)) return { adapter, tensors, parted: false };
    const table = whole.get(`${path}.base_layer.weight`) ?? whole.get(ofOutput);
    const rest = without(whole, ofOutput);
    if (table !== undefined) rest.set(`${path}.base_layer.weight`, table);
    return { adapter: { ...adapter, whole: rest }, tensors, parted: false };
  }
  // An adapted embedding's own table may have been saved along, and then stands in for the model's.
  const before = whole.get(`${path}.base_layer.weight`);
  const own = tensors.some((tensor) => tensor.name === name)
    ? []
    : [{ ...stored, name, read: async () => before?.data ?? stored.read() }];
  return { adapter, tensors: [...tensors, ...own], parted: true };
}

function without<Value>(map: ReadonlyMap<string, Value>, key: string): Map<string, Value> {
  return new Map([...map].filter(([name]) => name !== key));
}
