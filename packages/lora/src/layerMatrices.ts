import { LowrankError } from '@lowrank/errors';
import { prefix } from './adapterKeys.js';
import type { LoraConfig } from './config.js';
import type { LoraMatrices } from './loraAdapter.js';
import { variantOf } from './variantOf.js';

/** One tensor of an adapted layer, as a file has it. */
export interface Half {
  readonly data: Float32Array;
  readonly shape: readonly number[];
  readonly embedding: boolean;
}

export type LayerPart = 'A' | 'B' | 'bias' | 'vector';

/** What of an adapted layer a name without PEFT's prefix means. */
export function partOf(
  name: string,
  vectorName: string | undefined,
): { path: string; part: LayerPart; embedding: boolean } | undefined {
  const [, path, ofEmbedding, half, suffix] = /^(.+)\.lora_(embedding_)?([AB])(\.weight|\.bias)?$/.exec(name) ?? [];
  if (path === undefined) {
    const end = `.${vectorName}`;
    return vectorName !== undefined && name.endsWith(end)
      ? { path: name.slice(0, -end.length), part: 'vector', embedding: false }
      : undefined;
  }
  const embedding = ofEmbedding !== undefined;
  if (suffix === '.bias') return half === 'B' && !embedding ? { path, part: 'bias', embedding } : undefined;
  return (suffix === undefined) === embedding && (half === 'A' || half === 'B')
    ? { path, part: half, embedding }
    : undefined;
}

/** What a file has of one layer, to be put together. */
export interface LayerParts {
  readonly path: string;
  readonly parts: Readonly<Partial<Record<LayerPart, Half>>>;
  readonly config: LoraConfig;
  readonly file: string;
}

/** A and B of one layer, and what belongs to them. @throws LowrankError `lora.keys`, `lora.shape` */
export function paired(layer: LayerParts): LoraMatrices {
  const { A, B, bias, vector } = layer.parts;
  if (A === undefined || B === undefined || A.embedding !== B.embedding) throw notPaired(layer);
  const [rank = 0, inFeatures = 0] = A.shape;
  const [outFeatures = 0, rankB] = B.shape;
  if (rank !== rankB || rank === 0)
    throw new LowrankError({
      code: 'lora.shape',
      what: `${prefix}${layer.path} in ${layer.file}`,
      expected: 'A [r, in] and B [out, r] of one rank',
      got: `A [${A.shape.join(', ')}] and B [${B.shape.join(', ')}]`,
    });
  checkVectors(layer, outFeatures);
  return {
    a: A.data,
    b: B.data,
    rank,
    inFeatures,
    outFeatures,
    ...(A.embedding ? { embedding: true } : {}),
    ...(bias === undefined ? {} : { bias: bias.data }),
    ...(vector === undefined ? {} : { vector: vector.data }),
  };
}

function notPaired({ path, parts: { A, B }, file }: LayerParts): LowrankError {
  const one = A === undefined ? 'only lora_B' : 'only lora_A';
  const both = A !== undefined && B !== undefined;
  const neither = A === undefined && B === undefined;
  return new LowrankError({
    code: 'lora.keys',
    what: `${prefix}${path} in ${file}`,
    expected: 'lora_A and lora_B',
    got: both ? 'one of a linear layer, one of an embedding' : neither ? 'neither' : one,
    remedy: 'The file is incomplete: save or download it again.',
  });
}

/** The bias of B and the variant's vector: there where the configuration says so, and [out]. */
function checkVectors({ path, parts: { bias, vector }, config, file }: LayerParts, outFeatures: number): void {
  const vectorName = variantOf(config).vector;
  for (const [name, wanted, found] of [
    ['lora_B.bias', config.loraBias === true, bias],
    [vectorName, vectorName !== undefined, vector],
  ] as const) {
    if (!wanted || found?.shape.join() === `${outFeatures}`) continue;
    throw new LowrankError({
      code: found === undefined ? 'lora.keys' : 'lora.shape',
      what: `${prefix}${path} in ${file}`,
      expected: `${name} [${outFeatures}], as its configuration says`,
      got: found === undefined ? 'none' : `[${found.shape.join(', ')}]`,
    });
  }
}
