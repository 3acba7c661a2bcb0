import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import type { LoraAdapter } from '@lowrank/lora';
import { createGenerator } from '@lowrank/models';
import { loadAdapter, removeAdapter } from '@lowrank/patch';
import { expect, test } from 'vitest';
import { golden } from '../testing.js';
import { openAdapterSwitch } from './adapterSwitch.js';
import { openModel } from './openModel.js';
import { readLoraFolder } from '../adapterFolder.js';

const settings = { maxNewTokens: 8, stopIds: [] };
const first = [1, 5, 9, 33];

test.each([
  ['a bank', 'tied', { qv: 'adapters/tied-qv', all: 'adapters/tied-all' }],
  ['adapters beside their layers, for what a bank cannot hold', 'bias', { biased: '../variants/biasLora' }],
  [
    'adapters beside their layers, with token rows and modules saved whole',
    'untied',
    { tokens: '../saved/tokens', whole: '../saved/savedHead' },
  ],
] as const)(
  '%s: each turn is what its adapter writes to the whole conversation, also after another adapter’s turns',
  async (_, base, folders) => {
    const backend = await createCpuBackend();
    const model = await openModel(join(golden, base));
    const adapters = new Map<string, LoraAdapter>();
    for (const [name, folder] of Object.entries(folders))
      adapters.set(name, await readLoraFolder(join(golden, folder)));
    const fresh = async (name: string | undefined, prompt: readonly number[]): Promise<readonly number[]> => {
      const own = await openModel(join(golden, base));
      const adapter = adapters.get(name ?? '');
      if (adapter !== undefined) await loadAdapter(own.module, adapter);
      // Trained biases are the model's: off, the adapter leaves them.
      if (adapter === undefined && base === 'bias')
        for (const given of adapters.values()) await loadAdapter(own.module, given);
      if (adapter === undefined) removeAdapter(own.module);
      const generator = createGenerator(own.module, { backend });
      const [text] = await generator.generate([prompt], settings);
      await generator.dispose();
      own.module.dispose();
      return text?.ids ?? [];
    };
    let prepared = 0;
    const prepare = backend.prepare.bind(backend);
    backend.prepare = (...given) => {
      prepared++;
      return prepare(...given);
    };
    const writer = await openAdapterSwitch(model, adapters, { backend });
    const [one, two = one] = adapters.keys();
    let text: readonly number[] = first;
    for (const name of [one, one, two, undefined, two, one]) {
      const [answer] = await writer.generate(name, [text], settings);
      expect(answer?.ids).toEqual(await fresh(name, text));
      text = [...text, ...(answer?.ids ?? []), 7];
      // Refused requests leave no cache that is another's.
      await expect(writer.generate(two, [[]], settings)).rejects.toThrow(/prompt/);
    }
    // Once one adapter has read a text of some length, another reads it with the same plans; beside their layers, each
    // with its own.
    await writer.generate(undefined, [text], settings);
    const before = prepared;
    for (const name of [one, two, undefined]) await writer.generate(name, [text], settings);
    if (base === 'tied') expect(prepared).toBe(before);
    await writer.dispose();
    model.module.dispose();
    expect(backend.memory.buffers).toBe(0);
    backend.dispose();
  },
);
