import { reshape, tensor } from '@lowrank/tensor';
import { evaluateReference, ReferenceBackend } from '@lowrank/tensor/op';
import type { MemoryReport } from '@lowrank/tensor/backend';
import { describe, expect, test } from 'vitest';
import type { CausalModel } from './causalModel.js';
import { openFolder } from './files.js';
import type { GeneratorOptions } from './generate.js';
import { createGenerator, generate } from './generate.js';
import { loadCausalModel } from './load.js';
import { goldenFolder, openGolden } from './testing.js';

const backend = new ReferenceBackend();
const model = await loadCausalModel(await openFolder(goldenFolder('tied')));
const { answers } = await openGolden('tied');
const [, , answer = { promptIds: [1], ids: [] }] = answers.greedy.base;
const run = (prompts: readonly (readonly number[])[], options: GeneratorOptions): Promise<number[][]> =>
  generate(model, { backend, prompts }, options);

/** The logits of what may come next, in double precision, without a cache. */
async function nextLogits(of: CausalModel, prompt: readonly number[]): Promise<Float64Array> {
  const ids = tensor(Int32Array.from(prompt), [1, prompt.length]);
  const hidden = of.hidden(ids, {
    positions: tensor(
      Int32Array.from(prompt, (_, at) => at),
      [1, prompt.length],
    ),
  });
  const [logits = new Float64Array()] = await evaluateReference([
    of.logits(reshape(hidden, [prompt.length, of.shape.hiddenSize])),
  ]);
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
  const [text] = await run([answer.promptIds], {
    maxNewTokens: 20,
    signal: controller.signal,
    onToken: (id, prompt) => {
      seen.push([id, prompt]);
      if (seen.length === 3) controller.abort();
    },
  });
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
  const draws = (
    await run(
      Array.from({ length: 256 }, () => [1]),
      { maxNewTokens: 1, temperature, seed: 5 },
    )
  ).flat();
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
  const failing = run([answer.promptIds], {
    maxNewTokens: 3,
    onToken: () => {
      throw new Error('no');
    },
  });
  await expect(failing).rejects.toThrow('no');
  expect([backend.memory.buffers, backend.memory.bytes]).toEqual([before.buffers, before.bytes]);
});

describe('a generator that is kept', () => {
  test(
    'one after another, longer than before, in batches, with other settings: always what a fresh ' + 'one writes',
    async () => {
      const generator = createGenerator(model, { backend });
      const long = [...answer.promptIds, ...answer.ids.slice(0, 15)];
      const requests: [number[][], GeneratorOptions][] = [
        [[answer.promptIds], { maxNewTokens: 4 }],
        [[answer.promptIds, [5, 6]], { maxNewTokens: 3, temperature: 1.5, seed: 3, topK: 9, repetitionPenalty: 1.2 }],
        [[long], { maxNewTokens: 20 }],
        [[answer.promptIds], { maxNewTokens: 4, temperature: 0.8, topP: 0.9, seed: 11 }],
        [[[7], [8], [9]], { maxNewTokens: 2 }],
        [[[7], [8], [9], [10]], { maxNewTokens: 2 }],
        [[[7], [8], [9], [10], [11]], { maxNewTokens: 1 }],
        [[answer.promptIds], { maxNewTokens: 4 }],
      ];
      // All asked for at once: they wait for each other.
      const kept = await Promise.all(requests.map(([prompts, options]) => generator.generate(prompts, options)));
      for (const [at, [prompts, options]] of requests.entries())
        expect(kept[at]?.map(({ ids }) => ids)).toEqual(await run(prompts, options));
      await generator.dispose();
      await expect(generator.generate([[1]], { maxNewTokens: 1 })).rejects.toThrow(/disposed/);
    },
  );

  test('what the cache holds of a prompt is not read again, and makes no difference', async () => {
    const generator = createGenerator(model, { backend });
    const write = async (prompt: number[]): Promise<number[]> => [
      ...((await generator.generate([prompt], { maxNewTokens: 5, reusePrefix: true }))[0]?.ids ?? []),
    ];
    let history = [...answer.promptIds];
    for (let turn = 0; turn < 4; turn++) {
      const ids = await write(history);
      expect(ids).toEqual((await run([history], { maxNewTokens: 5 }))[0]);
      history = [...history, ...ids, 40 + turn, 50];
    }
    // Shorter than before, equal to before, and of another beginning.
    for (const prompt of [history.slice(0, 3), history.slice(0, 3), [9, ...history.slice(1, 9)]])
      expect(await write(prompt)).toEqual((await run([prompt], { maxNewTokens: 5 }))[0]);
    await generator.dispose();
  });

  test('up to the last position with a cache that is nearly full', async () => {
    const generator = createGenerator(model, { backend });
    const prompt = Array.from({ length: 100 }, (_, at) => 3 + ((at * 7) % 90));
    await generator.generate([prompt], { maxNewTokens: 28 });
    const next = [...prompt, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24];
    const [kept] = await generator.generate([next], { maxNewTokens: 8, reusePrefix: true });
    expect(kept?.ids).toEqual((await run([next], { maxNewTokens: 8 }))[0]);
    await generator.dispose();
  });

  test('texts, with the reason of their end', async () => {
    const generator = createGenerator(model, { backend });
    const text = (): { push(id: number): string; end(): string } => ({ push: (id) => `<${id}>`, end: () => '' });
    const stop = `${answer.ids[2]}><${answer.ids[3]}`;
    const [got] = await generator.generate([answer.promptIds], { maxNewTokens: 9, text, stopStrings: [stop] });
    expect(got).toEqual({
      ids: answer.ids.slice(0, 4),
      text: `${answer.ids
        .slice(0, 2)
        .map((id) => `<${id}>`)
        .join('')}<`,
      endedBy: 'string',
    });
    const controller = new AbortController();
    const [aborted] = await generator.generate([answer.promptIds], {
      maxNewTokens: 9,
      signal: controller.signal,
      onToken: () => controller.abort(),
    });
    expect(aborted).toEqual({ ids: answer.ids.slice(0, 1), text: '', endedBy: 'signal' });
    await generator.dispose();
  });
});

describe('refused', () => {
  test.each<[readonly (readonly number[])[], GeneratorOptions, RegExp]>([
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
