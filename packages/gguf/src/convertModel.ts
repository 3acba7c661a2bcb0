import type { GgufFile, GgufTensor, GgufValue } from './format.js';
import type { GgufArchitecture } from './architecture.js';
import { modelHeader } from './architecture.js';
import type { Json } from './json.js';
import { refuse } from './json.js';
import { ggufName, interleaveHalves, permutedHeads } from './names.js';
import { converted } from './numbers.js';
import { sizeLabel } from './sizeLabel.js';
import { vocabularyMetadata } from './vocabulary.js';
import type { VocabularyFiles } from './vocabulary.js';

/** A tensor of a checkpoint: its bytes when asked for. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  read(): Promise<Uint8Array>;
}

/** What `convertModel` needs: a model's configuration, tensors and vocabulary. */
export interface ModelToConvert {
  /** config.json */
  readonly config: Json;
  /** How llama.cpp knows the model's family, if it does. */
  readonly architecture: GgufArchitecture | undefined;
  readonly tensors: Iterable<StoredTensor>;
  readonly vocabulary: VocabularyFiles;
  /** general.name */
  readonly name: string;
  /** Of matrices; vectors are F32 in any case. Default F16. */
  readonly type?: 'F16' | 'F32';
  /** generation_config.json: what it says of sampling. */
  readonly generationConfig?: Json | undefined;
}

/**
 * A Llama of transformers as llama.cpp's GGUF: the tensors that convert_hf_to_gguf.py makes, equal in name, shape, type
 * and value, and what llama.cpp has to know of shape and vocabulary.
 *
 * Query and key projections have their rows in llama.cpp's order; matrices are rounded once to f16; Llama 3's rotary
 * scaling becomes the tensor rope_freqs. Heuristics about names, licences and authors are left out.
 *
 * @throws LowrankError `gguf.architecture`, `gguf.config`, `gguf.name`, `gguf.vocabulary`; while it is written
 * `gguf.dtype`, `gguf.overflow`, `gguf.shape`
 */
export async function convertModel({
  config,
  architecture,
  tensors,
  vocabulary,
  name,
  type = 'F16',
  generationConfig = {},
}: ModelToConvert): Promise<GgufFile> {
  const header = modelHeader(architecture, config);
  const written: GgufTensor[] = [];
  const { rotaryFactors } = header;
  if (rotaryFactors !== undefined)
    written.push({
      name: 'rope_freqs.weight',
      type: 'F32',
      shape: [rotaryFactors.length],
      read: () => Promise.resolve(new Uint8Array(rotaryFactors.buffer)),
    });
  for (const tensor of tensors) {
    // A table of old checkpoints, which the code makes itself.
    if (tensor.name.endsWith('.rotary_emb.inv_freq')) continue;
    const [, path = '', part = ''] = /^(.*)\.(weight|bias)$/.exec(tensor.name) ?? [];
    const heads = permutedHeads(path, header);
    const to = tensor.shape.length > 1 ? type : 'F32';
    written.push({
      name: `${ggufName(path === '' ? tensor.name : path, header)}.${part}`,
      type: to,
      shape: tensor.shape,
      async read() {
        const bytes = converted(await tensor.read(), { name: tensor.name, from: tensor.dtype, to });
        return heads === undefined ? bytes : interleaveHalves(bytes, heads, bytes.length / (tensor.shape[0] ?? 1));
      },
    });
  }
  checkVocabularySize(header.vocabularySize, written);
  const parameters = written.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  const metadata = new Map<string, GgufValue>([
    ['general.architecture', { type: 'string', value: header.known.architecture }],
    ['general.type', { type: 'string', value: 'model' }],
    ...sampling(generationConfig),
    ['general.name', { type: 'string', value: name }],
    ['general.size_label', { type: 'string', value: sizeLabel(parameters) }],
    ...header.metadata,
    ['general.file_type', { type: 'u32', value: type === 'F16' ? 1 : 0 }],
    ['general.quantization_version', { type: 'u32', value: 2 }],
    ...(await vocabularyMetadata(vocabulary, { config, vocabularySize: header.vocabularySize })),
  ]);
  return { metadata, tensors: written };
}

/** More tokens than any vocabulary has, for a model whose table is not there to compare with. */
const mostTokens = 2 ** 21;

/** llama.cpp takes the list of tokens and the table of embeddings together or not at all. */
function checkVocabularySize(size: number, tensors: readonly GgufTensor[]): void {
  const rows = tensors.find(({ name }) => name === 'token_embd.weight')?.shape[0];
  if (rows !== undefined && rows !== size) refuse('vocab_size', `the ${rows} rows of the table of embeddings`, size);
  if (!Number.isInteger(size) || size > mostTokens) refuse('vocab_size', `a whole number up to ${mostTokens}`, size);
}

/** Sampling that the model's makers recommend. */
function sampling(config: Json): (readonly [string, GgufValue])[] {
  const keys = {
    top_k: 'top_k',
    top_p: 'top_p',
    min_p: 'min_p',
    temperature: 'temp',
    repetition_penalty: 'penalty_repeat',
  } as const;
  return Object.entries(keys).flatMap(([key, ggufKey]) => {
    const value = config[key];
    return typeof value === 'number'
      ? [[`general.sampling.${ggufKey}`, { type: ggufKey === 'top_k' ? 'i32' : 'f32', value }] as const]
      : [];
  });
}
