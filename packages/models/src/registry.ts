import { LowrankError } from '@lowrank/errors';
import type { CausalModel } from './causalModel.js';
import type { ConfigReader } from './config.js';
import { Gpt2, gpt2Config, gpt2Weights } from './gpt2.js';
import { GptNeox, gptNeoxConfig, gptNeoxWeights } from './gptNeox.js';
import { gemmaConfig, gemmaModel } from './gemma.js';
import { gemma2Config, gemma2Model } from './gemma2.js';
import { gemma3Config, gemma3Model, gemma3PartConfig, gemma3PartWeights, gemma3TextModel } from './gemma3.js';
import { llamaConfig, llamaModel } from './llama.js';
import { mistralConfig, mistralModel } from './mistral.js';
import { olmo2Config, olmo2Model } from './olmo2.js';
import { olmo3Config, olmo3Model } from './olmo3.js';
import { phi3Config, phi3Model } from './phi3.js';
import { qwen2Config, qwen2Model } from './qwen2.js';
import { qwen3Config, qwen3Model } from './qwen3.js';
import { bodyNames } from './renamed.js';
import { smollm3Config, smollm3Model } from './smollm3.js';
import type { SafetensorsFile } from '@lowrank/safetensors';
import type { WeightSource } from './weights.js';

/**
 * An architecture: from a checked config and weights by name to a model. A new one is a file and a line in this table.
 */
export interface Architecture {
  build(config: ConfigReader, weights: WeightSource): CausalModel;
  /**
   * The checkpoint under the names that the model asks for, where checkpoints of this family have several ways to say
   * them.
   */
  weights?(file: SafetensorsFile): SafetensorsFile;
}

/** Checkpoints of the body alone leave `model.` out. */
const modelWeights = (file: SafetensorsFile): SafetensorsFile => bodyNames(file, 'model', () => false);

function family<Config>(
  config: (reader: ConfigReader) => Config,
  model: (config: Config, weights: WeightSource) => CausalModel,
  weights = modelWeights,
): Architecture {
  return { build: (reader, source) => model(config(reader), source), weights };
}

const architectures: Readonly<Record<string, Architecture>> = {
  gpt2: { build: (config, weights) => new Gpt2(gpt2Config(config), weights), weights: gpt2Weights },
  gpt_neox: { build: (config, weights) => new GptNeox(gptNeoxConfig(config), weights), weights: gptNeoxWeights },
  gemma: family(gemmaConfig, gemmaModel),
  gemma2: family(gemma2Config, gemma2Model),
  gemma3: family(gemma3PartConfig, gemma3Model, gemma3PartWeights),
  gemma3_text: family(gemma3Config, gemma3TextModel),
  llama: family(llamaConfig, llamaModel),
  mistral: family(mistralConfig, mistralModel),
  olmo2: family(olmo2Config, olmo2Model),
  olmo3: family(olmo3Config, olmo3Model),
  phi3: family(phi3Config, phi3Model),
  qwen2: family(qwen2Config, qwen2Model),
  qwen3: family(qwen3Config, qwen3Model),
  smollm3: family(smollm3Config, smollm3Model),
};

/** @throws LowrankError `models.unknownType` */
export function architectureOf(config: ConfigReader): Architecture {
  const { modelType } = config;
  const found = Object.hasOwn(architectures, modelType) ? architectures[modelType] : undefined;
  if (found !== undefined) return found;
  throw new LowrankError({
    code: 'models.unknownType',
    what: `model_type in ${config.name}`,
    expected: `one of ${Object.keys(architectures).join(', ')}`,
    got: JSON.stringify(modelType),
    remedy: 'Use a model of a supported family.',
  });
}
