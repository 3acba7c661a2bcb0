import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '@lowrank/cpu';
import { readTokenizer } from '@lowrank/data';
import type { CausalModel } from '@lowrank/models';
import { loadCausalModel, openFolder, storedCodes } from '@lowrank/models';
import { QuantizedLinear } from '@lowrank/quant';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { asTextFiles } from '../packages/lowrank/src/front/modelSource.js';
import { logitsOn } from './helpers/logitsOn.js';

const golden = (file: string): string => fileURLToPath(new URL(`../parity/golden/ggufBases/${file}`, import.meta.url));

/** What transformers makes of each file: ids of texts, and the logits after the last of each. */
type Answers = Record<string, { texts: string[]; ids: number[][]; last: number[][] }>;

let backend: Backend;
let answers: Answers;
beforeAll(async () => {
  backend = await createCpuBackend({ threads: 1 });
  answers = JSON.parse(await readFile(golden('answers.json'), 'utf8')) as Answers;
});
afterAll(() => backend.dispose());

const layers = (model: CausalModel): [string, QuantizedLinear][] =>
  [...model.namedModules()].flatMap(([path, module]) => (module instanceof QuantizedLinear ? [[path, module]] : []));

// Every type of tensor; SentencePiece and byte-level vocabularies; rows of q and k that change places (Llama), biases
// and an output projection (Qwen 2), norms of heads (Qwen 3), norms stored as 1 + w and tied tables (Gemma).
test.each([
  ['llama', 'Q4_0 Q4_1 Q5_0 Q5_1 Q8_0'],
  ['pieces', 'Q4_0'],
  ['qwen2', 'Q8_0'],
  ['qwen3', 'Q4_1 Q8_0'],
  ['gemma2', 'Q4_0 Q8_0'],
  ['gemma3', 'Q8_0'],
  ['kquants', 'Q4_K Q5_K Q6_K'],
])("%s.gguf: transformers' ids and logits, over codes and over the numbers they stand for", async (name, types) => {
  const files = await openFolder(golden(`${name}.gguf`));
  const tokenizer = await readTokenizer(asTextFiles(files));
  const { texts, ids, last } = answers[name] ?? { texts: [], ids: [], last: [] };
  expect(texts.map((text) => tokenizer.encode(text))).toEqual(ids);
  const warnings: string[] = [];
  const coded = await loadCausalModel(files, { onWarning: (text) => warnings.push(text) });
  const dense = await loadCausalModel(files, { widen: true });
  expect(warnings.join()).toMatch(/^[^,]*embed_tokens.weight \(Q\w+\).* f32 in memory, \d\.\d MB$/);
  expect(layers(coded).length).toBeGreaterThan(5);
  expect(layers(dense)).toEqual([]);
  const codes = await storedCodes(files);
  const found = layers(coded).map(([path]) => codes?.get(`${path}.weight`)?.type);
  expect([...new Set(found.map(String))].sort().join(' ')).toBe(types);
  for (const model of [coded, dense]) {
    for (const [at, row] of ids.entries()) {
      const logits = await logitsOn(backend, model, row);
      const wanted = last[at] ?? [];
      const mine = Array.from(logits).slice(-wanted.length);
      expect(Math.max(...mine.map((value, token) => Math.abs(value - (wanted[token] ?? NaN))))).toBeLessThan(1e-4);
    }
  }
});
