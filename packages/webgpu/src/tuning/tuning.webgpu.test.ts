import { compile, matmul } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebgpuBackend, createWebgpuBackend } from '../backend.js';
import { expectWithin, magnitudeOf, randomInput, referenceOf } from '../testing/kernelHarness.js';
import { keptChoices } from './keptChoices.js';
import { productCandidates } from './productCandidates.js';
import type { TunedEvent, TuningStore } from './tunerOptions.js';
import { readDecisions, writeDecisions } from './tuningRecord.js';

let owner: WebgpuBackend;
beforeAll(async () => {
  owner = await createWebgpuBackend({ tier: 'registers' });
});
afterAll(() => owner.dispose());

const [m, n, k] = [6, 8, 24];
const [a, b] = [randomInput([m, k], 1), randomInput([k, n], 2)];
const size = {
  batch: 1,
  m,
  n,
  k,
  transposeA: false,
  transposeB: false,
  encoded: false,
  operands: 'f32·f32',
  fused: false,
};

function storeOf(text?: string): TuningStore & { text: string | undefined } {
  return {
    text,
    read() {
      return Promise.resolve(this.text);
    },
    write(_, written) {
      this.text = written;
      return Promise.resolve();
    },
  };
}

/** Multiplies on the device with what the store holds, as a new process would; holds the result to its bound. */
async function multiply(store: TuningStore): Promise<{ events: TunedEvent[]; buffers: number; profiled: string }> {
  const events: TunedEvent[] = [];
  const backend = new WebgpuBackend(owner.device, {
    tier: 'registers',
    tuner: { store, software: true, seconds: 60, onTuned: (event) => void events.push(event) },
  });
  const fn = compile(backend, ({ left, right }) => {
    if (left === undefined || right === undefined) throw new TypeError('two arguments are given');
    return { y: matmul(left, right) };
  });
  const { y } = await fn.run({ left: a, right: b });
  const test = { op: 'matmul', attrs: { transposeA: false, transposeB: false }, inputs: [a, b] } as const;
  const actual = Float64Array.from((await y) as Float32Array);
  expectWithin(actual, referenceOf(test)[0], { c: 2 + Math.sqrt(k), magnitude: magnitudeOf(test)[0] ?? 0 });
  const { buffers } = backend.memory;
  const form = backend.kernelChoices.measured(size);
  await fn.dispose();
  return { events, buffers, profiled: form === undefined ? 'table' : `${form.tm}x${form.tn}` };
}

it('measures a product on the device once, leaves no memory behind, and multiplies right', async () => {
  const store = storeOf();
  const first = await multiply(store);
  expect(first.events).toMatchObject([{ classes: 1, measured: 1 }]);
  const again = await multiply(store);
  expect(again.events).toEqual([]);
  expect(again.profiled).toBe(first.profiled);
  // Both hold what the compiled function takes, and nothing else.
  expect(first.buffers).toBe(again.buffers);
  const kept = await keptChoices(store, owner.device.adapter, { tier: 'registers' });
  expect(kept).toMatchObject([{ shape: 'NN f32·f32 6x8x24', table: expect.any(Number) }]);
});

it('goes by a choice that was kept', async () => {
  const store = storeOf();
  await multiply(store);
  const text = store.text ?? '';
  const { limits } = owner.device;
  const other = productCandidates(size, { profile: owner.profile, limits }).find(({ form }) => form.tn === 4);
  const decisions = new Map([...(readDecisions(text) ?? [])].map(([key]) => [key, { form: other?.name }]));
  const edited = storeOf(writeDecisions(decisions, JSON.parse(text) as { version: string; device: string }));
  expect(await multiply(edited)).toMatchObject({ events: [], profiled: `${other?.form.tm}x4` });
});

it('has nothing to measure by without timestamps, and on software that did not ask for it', async () => {
  const plain = new WebgpuBackend(owner.device, { tier: 'registers', tuner: { store: storeOf() } });
  const fn = compile(plain, ({ left, right }) => ({ y: left && right ? matmul(left, right) : undefined }) as never);
  await fn.prepare({ left: a, right: b });
  expect(plain.kernelChoices.version).toBe(0);
  await fn.dispose();
});
