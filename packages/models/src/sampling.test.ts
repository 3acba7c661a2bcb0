import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { compile, tensor } from '@lowrank/tensor';
import { ReferenceBackend } from '@lowrank/tensor/op';
import { describe, expect, test } from 'vitest';
import { generate } from './generate.js';
import { openFolder } from './files.js';
import { loadCausalModel } from './load.js';
import type { SamplingOptions } from './sampling.js';
import { checkSampling, Sampler } from './sampling.js';
import { goldenFolder } from './testing.js';

interface Golden {
  logits: number[][];
  seen: number[][];
  cases: { settings: SamplingOptions; rows: { kept: number[]; probabilities: number[] }[] }[];
  penalized: { promptIds: number[]; repetitionPenalty: number; ids: number[] }[];
}

const golden = JSON.parse(
  await readFile(fileURLToPath(new URL('../../../parity/golden/generation.json', import.meta.url)), 'utf8'),
) as Golden;
const backend = new ReferenceBackend();

/** Tokens drawn for `rows` rows, all of these logits. */
async function draw(
  logits: readonly number[],
  seen: readonly number[],
  options: SamplingOptions & { rows: number },
): Promise<number[]> {
  const width = logits.length;
  const repeated = tensor(
    Float32Array.from({ length: options.rows * width }, (_, at) => logits[at % width] ?? 0),
    [options.rows, width],
  );
  const has = tensor(
    Float32Array.from({ length: options.rows * width }, (_, at) => (seen.includes(at % width) ? 1 : 0)),
    [options.rows, width],
  );
  const sampler = new Sampler();
  sampler.begin(checkSampling(options));
  sampler.advance();
  const step = compile(backend, () => ({ token: sampler.sample(repeated, has) }));
  const { token } = await step.run({});
  const tokens = [...(await token)];
  await step.dispose();
  return tokens;
}

describe('draws have the tokens and the frequencies that transformers’ processors leave', () => {
  test.each(golden.cases.map(({ settings, rows }, at) => ({ settings, rows, at })))(
    '$settings',
    async ({ settings, rows, at }) => {
      const count = 600;
      for (const [row, { kept, probabilities }] of rows.entries()) {
        const tokens = await draw(golden.logits[row] ?? [], golden.seen[row] ?? [], {
          temperature: 1,
          ...settings,
          rows: count,
          seed: 1000 * at + row,
        });
        // None that is filtered out; every one that is likely enough not to be missed by chance; and each about as
        // often as it should be.
        const drawn = new Set(tokens);
        expect([...drawn].filter((id) => !kept.includes(id))).toEqual([]);
        kept.forEach((id, index) => {
          const p = probabilities[index] ?? NaN;
          if (count * p > 20) expect(drawn).toContain(id);
          expect(Math.abs(tokens.filter((token) => token === id).length - count * p)).toBeLessThan(
            5 * Math.sqrt(count * p * (1 - p)) + 5,
          );
        });
      }
    },
  );
});

test('temperature 0 takes the likeliest token, filters or none; the penalty counts', async () => {
  const [logits = []] = golden.logits;
  const likeliest = logits.indexOf(Math.max(...logits));
  expect(await draw(logits, [], { topK: 5, topP: 0.1, minP: 0.9, rows: 2 })).toEqual([likeliest, likeliest]);
  const [again] = await draw(logits, [likeliest], { repetitionPenalty: 1e6, rows: 1 });
  expect(again).not.toBe(likeliest);
  expect(await draw([-1, -2, -3], [0], { repetitionPenalty: 10, rows: 1 })).toEqual([1]);
});

test('greedy texts with a repetition penalty are those of transformers', async () => {
  const model = await loadCausalModel(await openFolder(goldenFolder('tied')));
  expect(golden.penalized.length).toBe(6);
  for (const repetitionPenalty of [1.3, 0.8]) {
    const texts = golden.penalized.filter((text) => text.repetitionPenalty === repetitionPenalty);
    const got = await generate(
      model,
      { backend, prompts: texts.map(({ promptIds }) => promptIds) },
      { maxNewTokens: 24, repetitionPenalty },
    );
    expect(got).toEqual(texts.map(({ ids }) => ids));
  }
  model.dispose();
});

test.each<[SamplingOptions, RegExp]>([
  [{ temperature: -1 }, /temperature/],
  [{ topK: -1 }, /topK/],
  [{ topK: 1.5 }, /topK/],
  [{ topP: 0 }, /topP: expected a number above 0 and at most 1, got 0/],
  [{ topP: 1.1 }, /topP/],
  [{ minP: -0.1 }, /minP/],
  [{ minP: NaN }, /minP/],
  [{ repetitionPenalty: 0 }, /repetitionPenalty/],
  [{ seed: -1 }, /seed/],
])('refused: %j', (options, message) => {
  expect(() => checkSampling(options)).toThrow(message);
});
