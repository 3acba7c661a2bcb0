type Config = Readonly<Record<string, unknown>>;

interface Shape {
  readonly hidden: number;
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly vocabulary: number;
  readonly positions: number;
  readonly theta: number;
  readonly epsilon: number;
  readonly tied: boolean;
}

const configOf = (type: string, shape: Shape, more: Config = {}): Config => ({
  model_type: type,
  hidden_size: shape.hidden,
  intermediate_size: shape.inner,
  num_hidden_layers: shape.layers,
  num_attention_heads: shape.heads,
  num_key_value_heads: shape.keyHeads,
  vocab_size: shape.vocabulary,
  max_position_embeddings: shape.positions,
  rope_theta: shape.theta,
  rms_norm_eps: shape.epsilon,
  hidden_act: 'silu',
  tie_word_embeddings: shape.tied,
  torch_dtype: 'bfloat16',
  ...more,
});

const smollm = { vocabulary: 49_152, positions: 8192, theta: 100_000, epsilon: 1e-5, tied: true };
const llama3 = { keyHeads: 8, vocabulary: 128_256, positions: 131_072, theta: 500_000, epsilon: 1e-5 };
const llama3Scaling = (factor: number): Config => ({
  rope_scaling: {
    rope_type: 'llama3',
    factor,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  },
});
const qwen = { theta: 1_000_000, epsilon: 1e-6 };

/** The config.json of common models, as far as their sizes go, by the name that `lowrank plan --config` takes. */
export const commonConfigs: Readonly<Record<string, Config>> = {
  'SmolLM2-135M': configOf('llama', { ...smollm, hidden: 576, inner: 1536, layers: 30, heads: 9, keyHeads: 3 }),
  'SmolLM2-360M': configOf('llama', { ...smollm, hidden: 960, inner: 2560, layers: 32, heads: 15, keyHeads: 5 }),
  'SmolLM2-1.7B': configOf('llama', {
    ...smollm,
    hidden: 2048,
    inner: 8192,
    layers: 24,
    heads: 32,
    keyHeads: 32,
    theta: 130_000,
  }),
  'Qwen2.5-0.5B': configOf('qwen2', {
    ...qwen,
    hidden: 896,
    inner: 4864,
    layers: 24,
    heads: 14,
    keyHeads: 2,
    vocabulary: 151_936,
    positions: 32_768,
    tied: true,
  }),
  'Qwen2.5-1.5B': configOf('qwen2', {
    ...qwen,
    hidden: 1536,
    inner: 8960,
    layers: 28,
    heads: 12,
    keyHeads: 2,
    vocabulary: 151_936,
    positions: 131_072,
    tied: true,
  }),
  'Qwen2.5-3B': configOf('qwen2', {
    ...qwen,
    hidden: 2048,
    inner: 11_008,
    layers: 36,
    heads: 16,
    keyHeads: 2,
    vocabulary: 151_936,
    positions: 32_768,
    tied: true,
  }),
  'Qwen2.5-7B': configOf('qwen2', {
    ...qwen,
    hidden: 3584,
    inner: 18_944,
    layers: 28,
    heads: 28,
    keyHeads: 4,
    vocabulary: 152_064,
    positions: 131_072,
    tied: false,
  }),
  'Llama-3.2-1B': configOf(
    'llama',
    { ...llama3, hidden: 2048, inner: 8192, layers: 16, heads: 32, tied: true },
    { head_dim: 64, ...llama3Scaling(32) },
  ),
  'Llama-3.2-3B': configOf(
    'llama',
    { ...llama3, hidden: 3072, inner: 8192, layers: 28, heads: 24, tied: true },
    { head_dim: 128, ...llama3Scaling(32) },
  ),
  'Llama-3.1-8B': configOf(
    'llama',
    { ...llama3, hidden: 4096, inner: 14_336, layers: 32, heads: 32, tied: false },
    llama3Scaling(8),
  ),
  'LLaMA-7B': configOf('llama', {
    hidden: 4096,
    inner: 11_008,
    layers: 32,
    heads: 32,
    keyHeads: 32,
    vocabulary: 32_000,
    positions: 2048,
    theta: 10_000,
    epsilon: 1e-6,
    tied: false,
  }),
  // Not GPT-3 but its sizes in Llama's form: 96 layers of width 12288, and a gated MLP with as many weights as GPT-3's
  // plain one.
  'GPT-3-shape': configOf('llama', {
    hidden: 12_288,
    inner: 32_768,
    layers: 96,
    heads: 96,
    keyHeads: 96,
    vocabulary: 50_257,
    positions: 2048,
    theta: 10_000,
    epsilon: 1e-5,
    tied: false,
  }),
};
