import { bankFor, openAdapterBank } from '@lowrank/patch';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { compileLogits, expectSame, openLiveCase, rows, rowsOf } from './parity/liveCases.js';

test.each(['plain', 'biased'] as const)(
  '%s: set, sum, rows, scope and hot swap create nothing on the device and compute what PEFT computes',
  async (name) => {
    const live = await openLiveCase(name);
    const backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
    const { counters } = backend.device;
    const model = await live.openModel();
    const adapters = await Promise.all(
      Object.keys(live.adapters).map(async (key) => [key, await live.openAdapter(key)] as const),
    );
    const bank = openAdapterBank(model, { ...bankFor(adapters.map(([, adapter]) => adapter)), rows });
    const ready = await Promise.all(
      adapters.map(async ([key, adapter]) => [key, await bank.prepare(adapter)] as const),
    );
    for (const [key, prepared] of ready) bank.put(key, prepared);
    const logits = compileLogits(backend, model, live);
    const base = await live.answer('base');
    expectSame(await logits.run(), base);
    const { buffers, bindGroups, pipelines, shaderModules } = counters;
    for (const [key] of ready) {
      bank.use(key);
      expectSame(await logits.run(), await live.answer(key));
      expectSame(await bank.withBase(() => logits.run()), base);
    }
    for (const [at, weights] of live.active.entries()) {
      bank.use(weights);
      expectSame(await logits.run(), await live.answer(`active.${at}`));
    }
    const [one = '', two = ''] = ready.map(([key]) => key);
    bank.useRows([two, '__base__', one]);
    expectSame(await logits.run(), rowsOf([await live.answer(two), base, await live.answer(one)]), 2e-4);
    // Over the name of another: the first in the second's slot.
    for (const [, prepared] of ready.slice(0, 1)) bank.put(two, prepared);
    bank.use(two);
    expectSame(await logits.run(), await live.answer(one));
    expect({ ...counters }).toMatchObject({ buffers, bindGroups, pipelines, shaderModules });
    await logits.dispose();
    bank.dispose();
    model.dispose();
    expect(backend.memory.buffers).toBe(0);
    backend.dispose();
  },
);
