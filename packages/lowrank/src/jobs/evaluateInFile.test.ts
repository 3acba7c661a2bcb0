import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectClose, golden, scratch } from '../testing.js';
import { evaluateFolder } from './evaluate.js';
import { staysInFile } from './evaluateInFile.js';

let backend: Backend;
beforeAll(async () => void (backend = await createCpuBackend()));
afterAll(() => backend.dispose());

test('rows that stay in their file have the loss, the counts and the warnings of rows in memory', async () => {
  using place = scratch();
  const data = join(place.path, 'rows.jsonl');
  const lines = ['rows', 'eval', 'eval'].map((name) =>
    readFileSync(join(golden, `train/${name}.jsonl`), 'utf8').trim(),
  );
  // More than are held to be laid out together.
  writeFileSync(data, `${Array.from({ length: 20 }, () => lines.join('\n')).join('\n')}\n`);
  const base = { backend, model: join(golden, 'tied'), data };
  for (const part of [{}, { validation: 0.3 }, { maxLength: 24 }]) {
    const warnings: string[][] = [[], []];
    const run = (dataMemory: number, at: number): ReturnType<typeof evaluateFolder> =>
      evaluateFolder({ ...base, ...part, dataMemory, onWarning: (text) => void warnings[at]?.push(text) });
    const [inMemory, inFile] = [await run(64, 0), await run(0, 1)];
    expectClose([inFile.loss, inFile.perplexity], [inMemory.loss, inMemory.perplexity], 1e-6);
    expect({ ...inFile, loss: 0, perplexity: 0, scores: {} }).toEqual({
      ...inMemory,
      loss: 0,
      perplexity: 0,
      scores: {},
    });
    expect(inFile.scores).toEqual({ loss: inFile.loss });
    expect(warnings[1]).toEqual(warnings[0]);
  }
  expect(await staysInFile({ ...base, dataMemory: 0 })).toBe(true);
  for (const part of [{}, { dataMemory: 0, metrics: ['bleu'] as const }, { dataMemory: 0, scoreRows: 5 }])
    expect(await staysInFile({ ...base, ...part })).toBe(false);
  expect(await staysInFile({ ...base, data: '-', dataMemory: 0 })).toBe(false);
});
