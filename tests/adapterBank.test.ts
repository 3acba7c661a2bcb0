import { createCpuBackend } from '@lowrank/cpu';
import { packBatch } from '@lowrank/data';
import { loraConfig } from '@lowrank/lora';
import type { CausalModel } from '@lowrank/models';
import { createGenerator, loadCausalModel, openFolder } from '@lowrank/models';
import {
  activateAdapter,
  addAdapter,
  loadAdapter,
  mergeAdapter,
  openAdapterBank,
  removeAdapter,
  unmergeAdapter,
} from '@lowrank/patch';
import { readTensor } from '@lowrank/tensor';
import type { Backend } from '@lowrank/tensor';
import { createTrainStep } from '@lowrank/trainer';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { llamaFolder, trainRows, windowRows } from './parity/trainCases.js';
import { openLiveCase } from './parity/liveCases.js';

const names = ['qv', 'all', 'rslora'] as const;
const prompts = [
  [1, 5, 9, 33],
  [1, 40],
  [1, 7, 7, 8, 60, 12],
  [1, 90, 3],
];
const settings = { maxNewTokens: 10, reusePrefix: false };

let backend: Backend;
let prepared = 0;
beforeAll(async () => {
  backend = await createCpuBackend();
  const prepare = backend.prepare.bind(backend);
  backend.prepare = (...given) => {
    prepared++;
    return prepare(...given);
  };
});
afterAll(() => backend.dispose());

/** What each adapter writes by itself, a prompt at a time. */
async function alone(model: CausalModel): Promise<Map<string | undefined, (readonly number[])[]>> {
  const live = await openLiveCase('plain');
  for (const name of names) await loadAdapter(model, await live.openAdapter(name), { name });
  const texts = new Map<string | undefined, (readonly number[])[]>();
  for (const name of [undefined, ...names]) {
    activateAdapter(model, name === undefined ? [] : [name]);
    const generator = createGenerator(model, { backend });
    const own: (readonly number[])[] = [];
    for (const prompt of prompts) own.push((await generator.generate([prompt], settings))[0]?.ids ?? []);
    texts.set(name, own);
    await generator.dispose();
  }
  removeAdapter(model);
  return texts;
}

test.each([
  ['f32', undefined],
  ['NF4', { type: 'nf4' }],
] as const)(
  'over %s, rows with adapters of their own write side by side what each writes alone, through one generator',
  async (_, quantization) => {
    const model = await loadCausalModel(await openFolder(`${llamaFolder}tied`), { quantization });
    const want = await alone(model);
    const live = await openLiveCase('plain');
    const bank = openAdapterBank(model, { slots: 3, rank: 8, rows: prompts.length });
    for (const name of names) await bank.load(name, await live.openAdapter(name));
    const generator = createGenerator(model, { backend });
    const write = async (choice: readonly (string | undefined)[]): Promise<void> => {
      bank.useRows(choice);
      const texts = await generator.generate(prompts, settings);
      expect(texts.map(({ ids }) => ids)).toEqual(choice.map((name, row) => want.get(name)?.[row]));
    };
    await write(['qv', undefined, 'all', 'rslora']);
    const [plans, { buffers }] = [prepared, backend.memory];
    await write(['all', 'rslora', undefined, 'qv']);
    await write([undefined, undefined, 'qv', 'qv']);
    // A hot swap between two requests.
    await bank.load('rslora', await live.openAdapter('all'));
    bank.useRows(['rslora', 'rslora']);
    const swapped = await generator.generate(prompts, settings);
    expect(swapped.map(({ ids }) => ids)).toEqual([
      ...(want.get('all') ?? []).slice(0, 2),
      ...(want.get(undefined) ?? []).slice(2),
    ]);
    expect([prepared, backend.memory.buffers]).toEqual([plans, buffers]);
    // A smaller batch uses the first rows, and the same bank.
    const [text] = await generator.generate(prompts.slice(0, 1), settings);
    expect(text?.ids).toEqual(want.get('all')?.[0]);
    await generator.dispose();
    bank.dispose();
    model.dispose();
  },
);

test(
  'switching, a hot swap of a prepared adapter, and a merge stay within the memory and the plans that ' + 'are there',
  async () => {
    const live = await openLiveCase('plain');
    const model = await live.openModel();
    const bank = openAdapterBank(model, { slots: 2, rank: 8, rows: 2 });
    const ready = [await bank.prepare(await live.openAdapter('qv')), await bank.prepare(await live.openAdapter('all'))];
    const generator = createGenerator(model, { backend });
    const round = async (): Promise<void> => {
      for (const one of ready) {
        bank.put('it', one);
        bank.use('it');
        await generator.generate(prompts.slice(0, 2), settings);
        bank.use({ it: -0.5 });
        await bank.withBase(() => generator.generate(prompts.slice(0, 2), settings));
        bank.useRows([undefined, 'it']);
        await generator.generate(prompts.slice(0, 2), settings);
      }
    };
    await round();
    const before = [prepared, backend.memory.buffers, backend.memory.bytes];
    for (let times = 0; times < 5; times++) await round();
    expect([prepared, backend.memory.buffers, backend.memory.bytes]).toEqual(before);
    await generator.dispose();
    bank.dispose();
    model.dispose();
  },
);

test(
  'training changes the adapter’s matrices and not one bit of anything else, also after a merge and its ' +
    'reverse; merged, it is refused',
  async () => {
    const model = await loadCausalModel(await openFolder(`${llamaFolder}untied`));
    const config = loraConfig({ r: 2, targetModules: ['q_proj', 'down_proj'] });
    const { parameters: other } = await addAdapter(model, config, { name: 'other' });
    await addAdapter(model, config);
    const { parameters: trained } = await addAdapter(model, config, { name: 'trained' });
    const own = new Set(trained.map(({ parameter }) => parameter));
    const numbers = async (): Promise<Map<string, string>> =>
      new Map(
        await Promise.all(
          [...model.namedParameters()]
            .filter(([, parameter]) => !own.has(parameter))
            .map(async ([path, { tensor }]): Promise<[string, string]> => [
              path,
              Buffer.from((await readTensor(tensor)).slice().buffer).toString('base64'),
            ]),
        ),
      );
    const [before, started] = [
      await numbers(),
      await Promise.all(trained.map(async ({ parameter }) => Array.from(await readTensor(parameter.tensor)))),
    ];
    expect(other.length).toBe(trained.length);
    const step = await createTrainStep({ backend, loss: (batch) => model.loss(batch), parameters: trained });
    const rows = await trainRows();
    for (let at = 0; at < 3; at++) await (await step.run([packBatch(windowRows(rows, at, 4))], 1e-2)).loss;
    expect(await numbers()).toEqual(before);
    for (const [at, { parameter }] of trained.entries())
      expect(Array.from(await readTensor(parameter.tensor))).not.toEqual(started[at]);
    await mergeAdapter(model);
    await expect(addAdapter(model, config, { name: 'more' })).rejects.toMatchObject({ code: 'patch.merged' });
    expect(await numbers()).not.toEqual(before);
    await unmergeAdapter(model);
    const back = await numbers();
    for (const [path, text] of before) if (!path.includes('base_layer')) expect(back.get(path)).toBe(text);
    await step.dispose({ weights: true });
    model.dispose();
  },
);
