import { LowrankError } from '@lowrank/errors';
import type { Parameter } from '@lowrank/nn';
import { Embedding } from '@lowrank/nn';
import { tableRows } from '@lowrank/patch';
import type { MethodModel } from './method.js';
import type { Placed } from './appliedMethod.js';
import { VirtualEmbedding } from './virtualEmbedding.js';

/** Puts an embedding that knows P virtual tokens in the place of the model's. */
export function placeVirtual(model: MethodModel, count: number, trained: ReadonlyMap<string, Parameter>): Placed {
  const { vocabularySize } = model.shape;
  const [path, base] = inputEmbedding(model);
  model.setModule(path, new VirtualEmbedding(base, trained, { vocabularySize, scale: model.embeddingScale }));
  model.virtualTokens = count;
  return { path, base };
}

/** The embedding of tokens: the first with a row for each, as PEFT looks for it. */
export function inputEmbedding(model: MethodModel): readonly [path: string, layer: Embedding] {
  for (const [path, module] of model.namedModules())
    if (module instanceof Embedding && module.weight.tensor.shape[0] === model.shape.vocabularySize)
      return [path, module];
  throw new LowrankError({
    code: 'methods.noEmbedding',
    what: 'the model',
    expected: `an embedding of ${model.shape.vocabularySize} tokens`,
    got: 'none in f32, f16 or bf16',
    remedy: (names) => `With ${names('quantizeEmbeddings')} the embedding lies in codes: leave it out.`,
  });
}

/** The embedding's rows of these tokens, as the model sees them: times its factor. */
export async function embeddingRows(model: MethodModel, ids: readonly number[]): Promise<Float32Array> {
  const [, { weight }] = inputEmbedding(model);
  const rows = await tableRows(weight.own, ids);
  return model.embeddingScale === 1 ? rows : rows.map((value) => value * model.embeddingScale);
}

/** @throws LowrankError `methods.virtualTokens` */
export function checkCount(model: MethodModel, count: number): void {
  const { maxPositions, vocabularySize } = model.shape;
  if (vocabularySize === 0)
    throw new LowrankError({
      code: 'methods.virtualTokens',
      what: 'virtual tokens',
      expected: 'a model that reads tokens',
      got: 'one that reads images',
      remedy: 'Use LoRA, BitFit, bottleneck adapters or full fine-tuning.',
    });
  // Beside them there has to be room for something to be read and something to be predicted.
  if (Number.isInteger(count) && count >= 1 && count <= maxPositions - 2) return;
  throw new LowrankError({
    code: 'methods.virtualTokens',
    what: 'the number of virtual tokens',
    expected: `a whole number from 1 to ${maxPositions - 2}: they use some of the model's ${maxPositions} positions`,
    got: String(count),
  });
}
