import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { fineTune, loadModel } from '../index.js';

const source = fileURLToPath(new URL('../../../../parity/golden/tasks/model', import.meta.url));

const words = ['film', 'play', 'lovely', 'flat', 'the', 'was', 'a', 'scene'];

/** Pairs of texts of so many words, no two alike. */
function pairsOf(count: number, length: number): { text: string; text_pair: string }[] {
  const text = (seed: number): string =>
    Array.from({ length }, (_, at) => words[(seed * 7 + at * (1 + (seed % 5)) + (at >> 2)) % words.length]).join(' ');
  return Array.from({ length: count }, (_, at) => ({ text: text(2 * at), text_pair: text(2 * at + 1) }));
}

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);

// Fewer pairs than a batch has, and more positions than one packed sequence of other tasks takes.
test.each([
  [3, 4, 8],
  [100, 40, 100],
])(
  'of %d pairs of %d words each, in batches of %d, is told from all the others once',
  async (count, length, batchSize) => {
    const rows = pairsOf(count, length);
    const model = await loadModel(source, { task: 'feature-extraction', device: 'cpu' });
    const said = (await model.predict(rows)) as unknown as { embedding: number[]; pair_embedding: number[] }[];
    const losses = said.map(({ embedding }, own) => {
      const logits = said.map((other) => 20 * dot(embedding, other.pair_embedding));
      return Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)) - (logits[own] ?? NaN);
    });
    const expected = losses.reduce((sum, loss) => sum + loss, 0) / count;
    const run = await fineTune(model, { data: rows, steps: 1, batchSize });
    expect(run.finalLoss).toBeCloseTo(expected, 4);
    model.dispose();
  },
);
