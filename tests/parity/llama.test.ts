import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '@lowrank/cpu';
import { expect, test } from 'vitest';
import { generate, loadModel, openFolder } from '@lowrank/models';

const root = fileURLToPath(new URL('../../parity/golden/llama/', import.meta.url));

test('greedy', async () => {
  const answers = JSON.parse(await readFile(`${root}answers/tied.json`, 'utf8'));
  const model = await loadModel(await openFolder(`${root}tied`));
  const backend = await createCpuBackend();
  for (const { promptIds, ids } of answers.greedy.base) {
    const [text] = await generate(model, { backend, prompts: [promptIds] }, { maxNewTokens: 20 });
    expect(text).toEqual(ids);
  }
  backend.dispose();
});
