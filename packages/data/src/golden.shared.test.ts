import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readDataset, readTokenizer } from './files.js';
import { evaluationBatches } from './trainingBatches.js';
import { loadTokenizer } from './tokenizer.js';
import type { TextTokenizer } from './tokenizer.js';

const shared = fileURLToPath(new URL('../../../../shared/', import.meta.url));
const json = <T>(path: string): T => JSON.parse(readFileSync(shared + path, 'utf8')) as T;

describe.runIf(existsSync(shared))('token ids of the reference runs', () => {
  it.each(['stories3M', 'stories260K'])('%s: all 400 rows, ids and labels', async (model) => {
    const golden = json<{ ids: number[]; labels: number[] }[]>(`golden/${model}-e2e/tokens.json`);
    const { eval_tokens: evalTokens } = json<{ eval_tokens: number }>(`golden/${model}-e2e/golden.json`);
    const tokenizer = await readTokenizer(`${shared}data/models/${model}`);
    expect(tokenizer).toMatchObject({
      bosId: 1,
      eosId: 2,
      addsBos: true,
      vocabularySize: model === 'stories3M' ? 4096 : 512,
    });
    const data = await readDataset(`${shared}data/datasets/e2e-nlg/train.jsonl`, tokenizer, {
      vocabularySize: tokenizer.vocabularySize,
    });
    expect(data.rows).toHaveLength(4672);
    expect(data.droppedLines).toEqual([]);
    expect(data.unalignedLines).toEqual([]);
    expect(golden).toHaveLength(400);
    for (const [i, { ids, labels }] of golden.entries()) {
      expect([...(data.rows[i]?.ids ?? [])]).toEqual(ids);
      expect([...(data.rows[i]?.labels ?? [])]).toEqual(labels);
    }
    let labelTokens = 0;
    for (const batch of evaluationBatches(data.rows.slice(300, 400))) labelTokens += batch.weight;
    expect(labelTokens).toBe(evalTokens);
  });

  it.each(['wikisql/train.jsonl', 'superbowl/train.jsonl'])('%s encodes', async (file) => {
    const tokenizer = await readTokenizer(`${shared}data/models/stories3M`);
    const data = await readDataset(`${shared}data/datasets/${file}`, tokenizer, { vocabularySize: 4096 });
    expect(data.rows.length).toBeGreaterThanOrEqual(1000);
    expect(data.droppedLines).toEqual([]);
  });
});

interface Short {
  input: string;
  encoded: { input_ids: number[] };
  decoded_with_special: string;
  decoded_without_special: string;
}

describe.runIf(existsSync(shared))('published token ids', () => {
  const tokenizers: [string, string, string, () => TextTokenizer][] = [
    [
      'GPT-2',
      'gpt2_encoded_tokens',
      'distilgpt2',
      // The published texts were decoded by transformers 4, which cleaned up spaces by default.
      () =>
        loadTokenizer(json<object>('data/tokenizers/gpt2/tokenizer.json'), {
          clean_up_tokenization_spaces: true,
          clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output: true,
        }),
    ],
    [
      'Llama 2',
      'llama_encoded',
      'coreml-projects/Llama-2-7b-chat-coreml',
      // The published ids are those of tokenizer.json itself, of a time when decoding wrote special tokens as they are:
      // LlamaTokenizer of transformers 5 puts its blank otherwise, and normalized tokens are written normalized.
      () => {
        const file = json<{ added_tokens: object[] }>('data/tokenizers/llama2/tokenizer.json');
        const plain = file.added_tokens.map((token) => ({ ...token, normalized: false }));
        return loadTokenizer({ ...file, added_tokens: plain }, { bos_token: '<s>', eos_token: '</s>' });
      },
    ],
  ];
  describe.each(tokenizers)('%s', (name, long, short, load) => {
    it('a long text', () => {
      const golden = json<{ text: string; token_ids: number[] }>(`data/tokenizers/goldens/${long}.json`);
      const tokenizer = load();
      expect(tokenizer.encode(golden.text)).toEqual(golden.token_ids);
      expect(tokenizer.decode(golden.token_ids)).toBe(golden.text);
    });

    it('short ones', () => {
      const tokenizer = load();
      const cases = json<Record<string, Short[]>>('data/tokenizers/goldens/tokenizer_tests.json')[short] ?? [];
      expect(cases).toHaveLength(18);
      // In this copy of Llama 2's tokenizer.json the no-break spaces have become plain ones, in the vocabulary and in
      // three merges.
      const readable = name === 'Llama 2' ? cases.filter(({ input }) => !input.includes('\u00a0')) : cases;
      expect(readable.length).toBeGreaterThanOrEqual(16);
      for (const { input, encoded, ...decoded } of readable) {
        expect([input, tokenizer.encode(input)]).toEqual([input, encoded.input_ids]);
        expect([input, tokenizer.decode(encoded.input_ids)]).toEqual([input, decoded.decoded_without_special]);
        expect([input, tokenizer.decode(encoded.input_ids, { skipSpecialTokens: false })]).toEqual([
          input,
          decoded.decoded_with_special,
        ]);
      }
    });
  });

  it('GPT-2 adds no BOS and ends with <|endoftext|>', () => {
    expect(tokenizers[0]?.[3]()).toMatchObject({ addsBos: false, eosId: 50256, vocabularySize: 50257 });
  });
});
