import { expect, test } from 'vitest';
import { server } from 'vitest/browser';
import { fineTune, loadModel } from 'lowrank';
import { fetchText } from '../helpers/browserFiles';
import { exampleWith } from '../helpers/readmeExample';

/** A file of the checkout as vite's server has it. */
const served = (path: string): string => new URL(`/@fs${server.config.root}/${path}`, location.href).href;

test('the README’s example trains, saves and writes in a page as it does in Node', async () => {
  const steps = 4;
  const code = exampleWith(await fetchText('README.md'), {
    model: served('parity/golden/llama/tied'),
    data: served('parity/golden/llama/train/rows.jsonl'),
    output: './readme/adapter',
    steps,
  });
  const body = code.replace(/^import .*\n/, '').replaceAll('console.log', 'log');
  const printed: unknown[][] = [];
  const make = Object.getPrototypeOf(async () => undefined).constructor as new (
    ...parts: string[]
  ) => (...given: unknown[]) => Promise<void>;
  await new make('loadModel', 'fineTune', 'log', body)(loadModel, fineTune, (...words: unknown[]) =>
    printed.push(words),
  );
  expect(printed.slice(0, steps).map(([step]) => step)).toEqual([1, 2, 3, 4]);
  const losses = printed.slice(0, steps).map(([, loss]) => Number(loss));
  for (const loss of losses) expect(loss).toBeGreaterThan(0);
  expect(typeof printed[steps]?.[0]).toBe('string');
  const root = await navigator.storage.getDirectory();
  const folder = await (await root.getDirectoryHandle('readme')).getDirectoryHandle('adapter');
  const config = await (await (await folder.getFileHandle('adapter_config.json')).getFile()).text();
  expect(JSON.parse(config)).toMatchObject({ peft_type: 'LORA', r: 16 });
});
