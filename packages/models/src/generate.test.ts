import { evaluateReference, ReferenceBackend, reshape, tensor } from '@lowrank/tensor';
import type { MemoryReport } from '@lowrank/tensor';
import { describe, expect, test } from 'vitest';
import type { CausalModel } from './causalModel.js';
import { openFolder } from './files.js';
import type { GenerateOptions } from './generate.js';
import { generate } from './generate.js';
import { loadModel } from './load.js';
import { goldenFolder, openGolden } from './testing.js';

const backend = new ReferenceBackend();
const model = await loadModel(await openFolder(goldenFolder('tied')));
const { answers } = await openGolden('tied');
const [, , answer = { promptIds: [1], ids: [] }] = answers.greedy.base;
const run = (prompts: readonly (readonly number[])[], options: GenerateOptions): Promise<number[][]> => generate(model, { backend, prompts }, options);

/** The logits of what may come next, in double precision, without a cache. */
async function nextLogits(of: CausalModel, prompt: readonly number[]): Promise<Float64Array> {
  const ids = tensor(Int32Array.from(prompt), [1, prompt.length]);
  const hidden = of.hidden(ids, { positions: tensor(Int32Array.from(prompt, (_, at) => at), [1, prompt.length]) });
  const [logits = new Float64Array()] = await evaluateReference([of.logits(reshape(hidden, [prompt.length, of.shape.hiddenSize]))]);
  return logits.slice(-of.shape.vocabularySize);
}

test('a stop token ends a text and is not part of it; the others go on', async () => {
  const stop = answer.ids[3] ?? -1;
  const prompts = [answer.promptIds, answers.greedy.base[1]?.promptIds ?? []];
  const [stopped, other] = await run(prompts, { maxNewTokens: 6, stopIds: [stop] });
  expect(stopped).toEqual(answer.ids.slice(0, answer.ids.indexOf(stop)));
  expect(other).toEqual(answers.greedy.base[1]?.ids.slice(0, 6));
});

test('tokens are told as they come, and a signal ends the text', async () => {
  const seen: [number, number][] = [];
  const controller = new AbortController();
  const [text] = await run([answer.promptIds], { maxNewTokens: 20, signal: controller.signal, onToken: (id, prompt) => {
    seen.push([id, prompt]);
    if (seen.length === 3) controller.abort();
  } });
  expect(text).toEqual(answer.ids.slice(0, 3));
  expect(seen).toEqual(answer.ids.slice(0, 3).map((id) => [id, 0]));
});

test('beyond a bucket of positions', async () => {
  const [long = []] = await run([answer.promptIds], { maxNewTokens: 14 });
  expect(long).toEqual(answer.ids.slice(0, 14));
  const prompt = [...answer.promptIds, ...answer.ids.slice(0, 13)];
  expect(prompt.length).toBeGreaterThan(16);
  expect(await run([prompt], { maxNewTokens: 3 })).toEqual([answer.ids.slice(13, 16)]);
});

test('up to the last position of the model', async () => {
  const prompt = Array.from({ length: 126 }, (_, at) => 3 + (at % 90));
  const [text = []] = await run([prompt], { maxNewTokens: 2 });
  expect(text.length).toBe(2);
  const logits = await nextLogits(model, [...prompt, text[0] ?? 0]);
  expect(text[1]).toBe(logits.indexOf(Math.max(...logits)));
});

test('at a temperature, draws have the frequencies of softmax(logits/t), by seed', async () => {
  const temperature = 2;
  const logits = await nextLogits(model, [1]);
  const top = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp((logit - top) / temperature));
  const total = weights.reduce((a, b) => a + b, 0);
  const draws = (await run(Array.from({ length: 256 }, () => [1]), { maxNewTokens: 1, temperature, seed: 5 })).flat();
  const likeliest = [...weights.keys()].sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0)).slice(0, 4);
  for (const id of likeliest) {
    const p = (weights[id] ?? 0) / total;
    const got = draws.filter((draw) => draw === id).length;
    expect(Math.abs(got - 256 * p)).toBeLessThan(4 * Math.sqrt(256 * p * (1 - p)));
  }
  const short = (seed: number): Promise<number[][]> => run([[1], [1]], { maxNewTokens: 5, temperature: 5, seed });
  expect(await short(5)).toEqual(await short(5));
  expect(await short(6)).not.toEqual(await short(5));
});

test('nothing to do', async () => {
  expect(await run([], { maxNewTokens: 5 })).toEqual([]);
  expect(await run([[1], [2]], { maxNewTokens: 0 })).toEqual([[], []]);
});

test('caches and plans are freed, also after a failure', async () => {
  const before: MemoryReport = { ...backend.memory };
  await run([answer.promptIds], { maxNewTokens: 3 });
  const failing = run([answer.promptIds], { maxNewTokens: 3, onToken: () => { throw new Error('no'); } });
  await expect(failing).rejects.toThrow('no');
  expect([backend.memory.buffers, backend.memory.bytes]).toEqual([before.buffers, before.bytes]);
});

describe('refused', () => {
  test.each<[readonly (readonly number[])[], GenerateOptions, RegExp]>([
    [[[1], []], { maxNewTokens: 1 }, /prompt 1: expected at least one token/],
    [[[1, 96]], { maxNewTokens: 1 }, /prompt 0: expected token ids below 96.*got 96/],
    [[[-1]], { maxNewTokens: 1 }, /got -1/],
    [[[1.5]], { maxNewTokens: 1 }, /got 1\.5/],
    [[[1, 2]], { maxNewTokens: 127 }, /prompt 0 with 127 new tokens: expected at most 128 positions, got 129/],
    [[[1]], { maxNewTokens: -1 }, /maxNewTokens/],
    [[[1]], { maxNewTokens: 1, temperature: -1 }, /temperature/],
    [[[1]], { maxNewTokens: 1, temperature: NaN }, /temperature/],
    [[[1]], { maxNewTokens: 1, seed: 0.5 }, /seed/],
  ])('%j %j', async (prompts, options, message) => {
    await expect(run(prompts, options)).rejects.toThrow(message);
  });
});
