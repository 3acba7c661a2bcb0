import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serializeSafetensors } from '@lowrank/safetensors';
import { root } from '../../scripts/lib/paths.mjs';

const tied = join(root, 'parity/golden/llama/tied');

/** A Llama of one layer and this width, of numbers that look random, with the tokenizer of the golden ones. */
export function writeWideLlama(folder: string, width: number): string {
  mkdirSync(folder, { recursive: true });
  const config = JSON.parse(readFileSync(join(tied, 'config.json'), 'utf8')) as Record<string, unknown>;
  const sizes = { hidden_size: width, intermediate_size: width, num_hidden_layers: 1, head_dim: width / 4 };
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, ...sizes }));
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) copyFileSync(join(tied, name), join(folder, name));
  let state = 1;
  const tensor = (name: string, ...shape: readonly number[]) => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => {
      state = (state * 1103515245 + 12345) % 2147483648;
      return (state / 2147483648 - 0.5) / 10;
    });
    return { name, dtype: 'F32' as const, shape, data: new Uint8Array(values.buffer) };
  };
  const layer = 'model.layers.0';
  const tensors = [
    tensor('model.embed_tokens.weight', 96, width),
    tensor('model.norm.weight', width),
    tensor(`${layer}.input_layernorm.weight`, width),
    tensor(`${layer}.post_attention_layernorm.weight`, width),
    tensor(`${layer}.self_attn.q_proj.weight`, width, width),
    tensor(`${layer}.self_attn.k_proj.weight`, width / 2, width),
    tensor(`${layer}.self_attn.v_proj.weight`, width / 2, width),
    tensor(`${layer}.self_attn.o_proj.weight`, width, width),
    tensor(`${layer}.mlp.gate_proj.weight`, width, width),
    tensor(`${layer}.mlp.up_proj.weight`, width, width),
    tensor(`${layer}.mlp.down_proj.weight`, width, width),
  ];
  writeFileSync(join(folder, 'model.safetensors'), serializeSafetensors(tensors));
  return folder;
}
