/** llama.cpp's names of the modules that most decoders of transformers share, by path: `GgufArchitecture.tensors`. */
export const decoderTensors: Readonly<Record<string, string>> = {
  'model.embed_tokens': 'token_embd',
  'model.layers.{i}.input_layernorm': 'blk.{i}.attn_norm',
  'model.layers.{i}.self_attn.q_proj': 'blk.{i}.attn_q',
  'model.layers.{i}.self_attn.k_proj': 'blk.{i}.attn_k',
  'model.layers.{i}.self_attn.v_proj': 'blk.{i}.attn_v',
  'model.layers.{i}.self_attn.o_proj': 'blk.{i}.attn_output',
  'model.layers.{i}.post_attention_layernorm': 'blk.{i}.ffn_norm',
  'model.layers.{i}.mlp.gate_proj': 'blk.{i}.ffn_gate',
  'model.layers.{i}.mlp.up_proj': 'blk.{i}.ffn_up',
  'model.layers.{i}.mlp.down_proj': 'blk.{i}.ffn_down',
  'model.norm': 'output_norm',
  lm_head: 'output',
};

/** Norms on each head of q and k. */
export const headNorms: Readonly<Record<string, string>> = {
  'model.layers.{i}.self_attn.q_norm': 'blk.{i}.attn_q_norm',
  'model.layers.{i}.self_attn.k_norm': 'blk.{i}.attn_k_norm',
};

/** Norms after attention and block too, as Gemma 2 and 3 have them. */
export const gemmaNorms: Readonly<Record<string, string>> = {
  'model.layers.{i}.post_attention_layernorm': 'blk.{i}.post_attention_norm',
  'model.layers.{i}.pre_feedforward_layernorm': 'blk.{i}.ffn_norm',
  'model.layers.{i}.post_feedforward_layernorm': 'blk.{i}.post_ffw_norm',
};

/** Keys of config.json for biases of Llama's kind, and the tensors that have them. */
export const llamaBiases: Readonly<Record<string, string>> = { attention_bias: 'attn_q', mlp_bias: 'ffn_gate' };
