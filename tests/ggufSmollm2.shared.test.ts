import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '@lowrank/cpu';
import { readTokenizer } from '@lowrank/data';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { expect, test } from 'vitest';
import { asTextFiles } from '../packages/lowrank/src/front/modelSource.js';
import { ggufSteps } from './helpers/ggufSteps.js';
import { logitsOn } from './helpers/logitsOn.js';

/** SmolLM2-135M-Instruct in Q4_1, its table in Q8_0: made where it is not there yet. */
const folder = process.env['LOWRANK_SMOLLM2'] ?? join(homedir(), '.cache/lowrank-data/smollm2-135m');
const path = join(folder, 'model.gguf');
if (!existsSync(path)) {
  const make = fileURLToPath(new URL('../../shared/data/models/smollm2-135m/make', import.meta.url));
  execFileSync(make, [folder], { stdio: 'inherit' });
}

interface Answer {
  readonly text: string;
  readonly ids: number[];
  /** Every 97th logit after the last id. */
  readonly sample: number[];
  readonly greedy: number[];
}
const answers = JSON.parse(
  await readFile(new URL('../parity/golden/ggufBases/smollm2.json', import.meta.url), 'utf8'),
) as Answer[];

test("ids and logits are transformers', and so are greedy tokens where the best two are apart", async () => {
  const files = await openFolder(path);
  const tokenizer = await readTokenizer(asTextFiles(files));
  const backend = await createCpuBackend();
  const model = await loadCausalModel(files, { backend: () => Promise.resolve(backend) });
  for (const { text, ids, sample, greedy } of answers) {
    expect(tokenizer.encode(text)).toEqual(ids);
    // All of the text and its continuation at once: the logits after each place say the next token.
    const logits = Array.from(await logitsOn(backend, model, [...ids, ...greedy.slice(0, -1)]));
    const size = logits.length / (ids.length + greedy.length - 1);
    const after = (place: number): number[] => logits.slice(place * size, (place + 1) * size);
    const mine = after(ids.length - 1).filter((_, at) => at % 97 === 0);
    expect(Math.max(...mine.map((value, at) => Math.abs(value - (sample[at] ?? NaN))))).toBeLessThan(1e-3);
    for (const [at, token] of greedy.entries()) {
      const row = after(ids.length - 1 + at);
      const [best = 0, second = 0] = row.toSorted((a, b) => b - a);
      if (best - second > 1e-3) expect(row.indexOf(best)).toBe(token);
    }
  }
  backend.dispose();
}, 60_000);

test('ten steps of LoRA over its codes are those over the dequantized weights', async () => {
  const rows = answers.map(({ text }) => text);
  const settings = { device: 'cpu', rows, steps: 10, batchSize: 1 } as const;
  const codes = await ggufSteps(path, settings);
  const numbers = await ggufSteps(path, { ...settings, dense: true });
  expect(codes.length).toBe(20);
  codes.forEach((value, at) => expect(Math.abs(value - (numbers[at] ?? NaN))).toBeLessThan(1e-4 * Math.abs(value)));
}, 120_000);
