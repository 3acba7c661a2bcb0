import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { readTokenizer } from '@lowrank/data';
import { generate, loadCausalModel, openFolder } from '@lowrank/models';
import type { Backend } from '@lowrank/tensor';
import { expect } from 'vitest';

const folder = fileURLToPath(new URL('../../../shared/data/models/stories260K', import.meta.url));

/** stories260K's 200 greedy tokens from BOS alone, as its author published them. */
export async function expectPublishedStory(backend: Backend): Promise<void> {
  const tokenizer = await readTokenizer(folder);
  const model = await loadCausalModel(await openFolder(folder));
  const published =
    /-t 0\.0\n([\s\S]*?)\n```/.exec(await readFile(`${folder}/golden/stories260K.md`, 'utf8'))?.[1] ?? '';
  const [ids = []] = await generate(model, { backend, prompts: [[tokenizer.bosId ?? 1]] }, { maxNewTokens: 200 });
  expect(ids.length).toBe(200);
  // The published run goes on for 256; a llama2.c decoder strips the blank that the first token brings.
  const text = tokenizer.decode(ids).trimStart();
  expect(text.length).toBeGreaterThan(450);
  expect(published.slice(0, text.length)).toBe(text);
  model.dispose();
}
