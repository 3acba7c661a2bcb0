import { codesOf, dequantize, quantize, QuantizedEmbedding } from '@lowrank/quant';
import { Embedding, Linear, TiedLinear } from '@lowrank/nn';
import { grad, readTensor, toFloat32 } from '@lowrank/tensor';
import { evaluateReference, sourceOf } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import type { CausalModel } from './causalModel.js';
import { openFolder, readJson } from './files.js';
import { loadCausalModel } from './load.js';
import { outlineModel } from './outline.js';
import { goldenBatch, goldenFolder, openGolden } from './testing.js';

const variants = [
  { set: 'llama', variant: 'tied', table: 'model.embed_tokens', output: undefined },
  { set: 'llama', variant: 'untied', table: 'model.embed_tokens', output: 'lm_head' },
  { set: 'gpt', variant: 'gpt2', table: 'transformer.wte', output: undefined },
  { set: 'gpt', variant: 'gptNeox', table: 'gpt_neox.embed_in', output: 'embed_out' },
] as const;

/** Puts what 8-bit rows mean in the place of a dense table's numbers. */
async function throughCodes(model: CausalModel, path: string): Promise<void> {
  const module = model.getModule(path);
  if (!(module instanceof Embedding || module instanceof Linear)) throw new TypeError(`no table at ${path}`);
  const table = module.weight.tensor;
  const values = toFloat32(await readTensor(table), table.dtype);
  sourceOf(table).write(dequantize(quantize(values, { type: 'int8', shape: table.shape, dtype: 'f32' })));
}

test.each(variants)(
  '$set/$variant: in 8-bit rows, loss and gradients are those of the numbers that these mean',
  async ({ set, variant, table, output }) => {
    const files = await openFolder(goldenFolder(variant, set));
    const batch = await goldenBatch(await openGolden(variant, set), 'packed');
    const answersOf = async (model: CausalModel): Promise<Float64Array[]> => {
      const [path, norm] = [...model.namedParameters()].filter(([name]) => /norm|ln_/.test(name)).at(0) ?? [];
      if (path === undefined || norm === undefined) throw new TypeError('a model without norms');
      const loss = model.loss(batch);
      return evaluateReference([loss, ...grad(loss, [norm.tensor])]);
    };
    const dense = await loadCausalModel(files, { widen: true });
    await throughCodes(dense, table);
    if (output !== undefined) await throughCodes(dense, output);
    const model = await loadCausalModel(files, { widen: true, quantizeEmbeddings: true });
    expect(codesOf(model.getModule(table))?.encoding.kind).toBe('rows8');
    expect(codesOf(model.getModule(model.outputPath))?.parts[0] === codesOf(model.getModule(table))?.parts[0]).toBe(
      output === undefined,
    );
    const [got, want] = [await answersOf(model), await answersOf(dense)];
    for (const [at, values] of want.entries()) {
      const scale = Math.max(...values.map(Math.abs));
      values.forEach((value, i) => expect(Math.abs((got[at]?.[i] ?? NaN) - value)).toBeLessThan(1e-6 * scale));
    }
    model.dispose();
    dense.dispose();
  },
);

test('an outline holds a byte for each number of its tables, and a scale for each row', async () => {
  const config = await readJson(await openFolder(goldenFolder('tied')), 'config.json');
  const bytes = (quantizeEmbeddings: boolean): number =>
    [...outlineModel(config, { dtype: 'bf16', quantizeEmbeddings }).namedParameters()]
      .filter(([name]) => name.includes('embed_tokens') || name.includes('lm_head'))
      .reduce((sum, [, { tensor }]) => sum + sourceOf(tensor).bytes, 0);
  const { vocabularySize, hiddenSize } = outlineModel(config).shape;
  expect(bytes(false)).toBe(2 * vocabularySize * hiddenSize);
  expect(bytes(true)).toBe(vocabularySize * (hiddenSize + 4));
  const model = outlineModel(config, { quantizeEmbeddings: true });
  expect(model.getModule(model.embeddingPath)).toBeInstanceOf(QuantizedEmbedding);
  expect(model.getModule(model.outputPath)).not.toBeInstanceOf(TiedLinear);
});
