import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadTokenizer } from '@lowrank/data';
import { convertModel } from '@lowrank/gguf';
import type { GgufMetadata, Json } from '@lowrank/gguf';
import { findFamily } from '@lowrank/models';
import { expect, test } from 'vitest';
import { shared } from '../../scripts/lib/paths.mjs';

async function vocabularyOf(name: string, vocab_size: number): Promise<GgufMetadata> {
  const tokenizerJson = JSON.parse(
    readFileSync(join(shared ?? '', 'data/tokenizers', name, 'tokenizer.json'), 'utf8'),
  ) as Json;
  const config = {
    model_type: 'llama',
    hidden_size: 8,
    num_attention_heads: 2,
    num_hidden_layers: 1,
    intermediate_size: 8,
    vocab_size,
  };
  return (
    await convertModel({
      config,
      architecture: findFamily('llama')?.llamaCpp,
      tensors: [],
      vocabulary: { tokenizerJson, tokenizer: loadTokenizer(tokenizerJson) },
      name,
    })
  ).metadata;
}

test("GPT-2's vocabulary is known by how it splits text", async () => {
  const metadata = await vocabularyOf('gpt2', 50_257);
  expect(metadata.get('tokenizer.ggml.model')).toEqual({ type: 'string', value: 'gpt2' });
  expect(metadata.get('tokenizer.ggml.pre')).toEqual({ type: 'string', value: 'gpt-2' });
  expect(metadata.get('tokenizer.ggml.merges')?.value).toHaveLength(50_000);
});

test("Llama 2's tokenizer.json becomes a SentencePiece-like vocabulary", async () => {
  const metadata = await vocabularyOf('llama2', 32_000);
  expect(metadata.get('tokenizer.ggml.model')).toEqual({ type: 'string', value: 'llama' });
  const types = metadata.get('tokenizer.ggml.token_type')?.value as readonly number[];
  expect(types).toHaveLength(32_000);
  expect(types.filter((type) => type === 6)).toHaveLength(256);
});
