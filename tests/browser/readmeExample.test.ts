import { expect, test } from 'vitest';
import { server } from 'vitest/browser';
import { fineTune, loadModel } from 'lowrank';
import { fetchText } from '../helpers/browserFiles';
import { exampleWith } from '../helpers/readmeExample';

/** A file of the checkout as vite's server has it. */
const served = (path: string): string => new URL(`/@fs${server.config.root}/${path}`, location.href).href;

const steps = 4;
const losses = new Map<string, readonly number[]>();

async function runExample(device: string): Promise<unknown[][]> {
  const example = exampleWith(await fetchText('README.md'), {
    model: served('parity/golden/llama/tied'),
    data: served('parity/golden/llama/train/rows.jsonl'),
    output: `./readme/${device}`,
    steps,
  });
  const body = example
    .replace(/^import .*\n/, '')
    .replaceAll('console.log', 'log')
    .replace("quantization: 'nf4'", `quantization: 'nf4', device: '${device}'`);
  const printed: unknown[][] = [];
  const log = (...words: unknown[]): void => void printed.push(words);
  const make = Object.getPrototypeOf(async () => undefined).constructor as new (
    ...parts: string[]
  ) => (...given: unknown[]) => Promise<void>;
  await new make('loadModel', 'fineTune', 'log', body)(loadModel, fineTune, log);
  return printed;
}

test.each(['cpu', 'webgpu'])('the README’s example trains, saves and writes in a page on %s', async (device) => {
  const printed = await runExample(device);
  expect(printed.slice(0, steps).map(([step]) => step)).toEqual([1, 2, 3, 4]);
  losses.set(
    device,
    printed.slice(0, steps).map(([, loss]) => Number(loss)),
  );
  expect(typeof printed[steps]?.[0]).toBe('string');
  const root = await navigator.storage.getDirectory();
  const folder = await (await root.getDirectoryHandle('readme')).getDirectoryHandle(device);
  const config = await (await (await folder.getFileHandle('adapter_config.json')).getFile()).text();
  expect(JSON.parse(config)).toMatchObject({ peft_type: 'LORA', r: 16 });
});

test('both devices compute the same', () => {
  const [cpu = [], webgpu = []] = [losses.get('cpu'), losses.get('webgpu')];
  expect(cpu).toHaveLength(steps);
  cpu.forEach((loss, at) => expect(webgpu[at]).toBeCloseTo(loss, 4));
});
