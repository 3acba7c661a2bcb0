import type { CausalModel } from '@lowrank/models';
import type { Backend, HostArray } from '@lowrank/tensor';
import { compile, reshape } from '@lowrank/tensor';

/** The logits of a model at every place of a text: [ids, vocabulary]. */
export async function logitsOn(backend: Backend, model: CausalModel, ids: readonly number[]): Promise<HostArray> {
  const { length } = ids;
  const compiled = compile(backend, ({ tokens, positions, segments }) => {
    if (tokens === undefined || positions === undefined || segments === undefined) throw new TypeError('three inputs');
    const hidden = model.hidden(tokens, { positions, segments });
    return { logits: model.logits(reshape(hidden, [length, model.shape.hiddenSize])) };
  });
  const { logits } = await compiled.run({
    tokens: { data: Int32Array.from(ids), shape: [1, length] },
    positions: { data: Int32Array.from(ids, (_, at) => at), shape: [1, length] },
    segments: { data: Int32Array.from({ length: 2 * length }, (_, at) => (at % 2) * length), shape: [1, length, 2] },
  });
  const values = await logits;
  await compiled.dispose();
  return values;
}
