import { LowrankError } from '@lowrank/errors';
import type { Family } from './architecture.js';

const layerParts: Readonly<Record<string, string>> = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.qkv_proj': 'attn_qkv',
  'self_attn.o_proj': 'attn_output',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.gate_up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
  input_layernorm: 'attn_norm',
  post_attention_layernorm: 'ffn_norm',
};

const others: Readonly<Record<string, string>> = {
  'model.embed_tokens': 'token_embd',
  'model.norm': 'output_norm',
  lm_head: 'output',
};

/**
 * llama.cpp's name for a module of a Llama, and of a linear layer of its kin: model.layers.3.self_attn.q_proj →
 * blk.3.attn_q.
 */
export function ggufName(path: string): string {
  const [, layer, part = ''] = /^model\.layers\.(\d+)\.(.+)$/.exec(path) ?? [];
  const name =
    layer === undefined
      ? others[path]
      : Object.hasOwn(layerParts, part)
        ? `blk.${layer}.${layerParts[part] ?? ''}`
        : undefined;
  if (name !== undefined) return name;
  throw new LowrankError({
    code: 'gguf.name',
    what: path,
    expected: 'a module of a Llama or its kin',
    got: 'one that llama.cpp has no name for',
  });
}

/** The heads whose rows have to be put in another order, for a query or key projection. */
export function permutedHeads(path: string, { permuted }: Family): number | undefined {
  return path.endsWith('.q_proj') ? permuted?.heads : path.endsWith('.k_proj') ? permuted?.keyHeads : undefined;
}

/**
 * transformers rotates the two halves of a head against each other, llama.cpp neighbours: row (half, i) of a head
 * becomes row (i, half).
 *
 * @param rowBytes bytes of one row
 */
export function interleaveHalves(bytes: Uint8Array, heads: number, rowBytes: number): Uint8Array {
  const headRows = bytes.length / rowBytes / heads;
  if (!Number.isInteger(headRows) || headRows % 2 !== 0)
    throw new LowrankError({
      code: 'gguf.shape',
      what: 'a query or key projection',
      expected: `an even number of rows for each of ${heads} heads`,
      got: `${bytes.length / rowBytes} rows`,
    });
  const result = new Uint8Array(bytes.length);
  for (let row = 0; row < heads * headRows; row++) {
    const inHead = row % headRows;
    const from = row - inHead + (inHead % 2) * (headRows / 2) + Math.floor(inHead / 2);
    result.set(bytes.subarray(from * rowBytes, (from + 1) * rowBytes), row * rowBytes);
  }
  return result;
}
