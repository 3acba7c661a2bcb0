import { compile, matmul } from '@lowrank/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebgpuBackend, createWebgpuBackend } from '../backend.js';
import type { MeasuredForm } from '../choices.js';
import {
  exactInHalf,
  expectWithin,
  isHalf,
  magnitudeOf,
  randomInput,
  referenceOf,
  testTiers,
} from '../testing/kernelHarness.js';
import { keptChoices } from './keptChoices.js';
import { productCandidates } from './productCandidates.js';
import type { TunedEvent, TuningStore } from './tunerOptions.js';
import { writeDecisions } from './tuningRecord.js';
import { scopeOf } from './tuningScope.js';

const [m, n, k] = [6, 8, 24];
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

/** One tier is enough, but where others are named (`LOWRANK_TEST_TIERS`): each has forms of its own. */
const tiers = process.env['LOWRANK_TEST_TIERS'] === undefined ? (['registers'] as const) : testTiers;

describe.each(tiers)('tuning, %s kernels', (tier) => {
  let owner: WebgpuBackend;
  beforeAll(async () => {
    owner = await createWebgpuBackend({ tier });
  });
  afterAll(() => owner.dispose());

  const product = {
    op: 'matmul',
    attrs: { transposeA: false, transposeB: false },
    inputs: [randomInput([m, k], 1), randomInput([k, n], 2)],
  } as const;
  const test = isHalf(tier) ? exactInHalf(product) : product;
  const [a, b] = test.inputs;

  /** Multiplies on the device with what the store holds, as a new process would; holds the result to its bound. */
  async function multiply(
    store: TuningStore,
    seconds = 600,
  ): Promise<{ events: TunedEvent[]; buffers: number; form: MeasuredForm | undefined; y: Float64Array }> {
    const events: TunedEvent[] = [];
    const backend = new WebgpuBackend(owner.device, {
      tier,
      tuner: { store, software: true, seconds, onTuned: (event) => void events.push(event) },
    });
    const fn = compile(backend, ({ left, right }) => {
      if (left === undefined || right === undefined) throw new TypeError('two arguments are given');
      return { y: matmul(left, right) };
    });
    if (a === undefined || b === undefined) throw new TypeError('a product has two operands');
    const { y } = await fn.run({ left: a, right: b });
    const actual = Float64Array.from((await y) as Float32Array);
    expectWithin(actual, referenceOf(test)[0], { c: 2 + Math.sqrt(k), magnitude: magnitudeOf(test)[0] ?? 0 });
    const { buffers } = backend.memory;
    const form = backend.kernelChoices.measured(size);
    await fn.dispose();
    return { events, buffers, form, y: actual };
  }

  it('measures a product on the device once, leaves no memory behind, and multiplies right', async () => {
    const store = storeOf();
    const first = await multiply(store);
    expect(first.events).toMatchObject([{ classes: 1, measured: 1 }]);
    const again = await multiply(store);
    expect(again.events).toEqual([]);
    expect(again.form).toEqual(first.form);
    expect(again.y).toEqual(first.y);
    // Both hold what the compiled function takes, and nothing else.
    expect(first.buffers).toBe(again.buffers);
    const kept = await keptChoices(store, owner.device.adapter, { tier });
    expect(kept).toMatchObject([{ shape: 'NN f32·f32 6x8x24', table: expect.any(Number) }]);

    // Of another driver, or damaged, it is measured anew.
    const text = store.text ?? '';
    for (const other of [text.replace('"device": "', '"device": "another '), text.slice(0, -30)]) {
      const { events } = await multiply(storeOf(other));
      expect(events).toMatchObject([{ classes: 1, measured: 1 }]);
    }
  });

  it('goes by a choice that was kept', async () => {
    const { limits } = owner.device;
    const other = productCandidates(size, { profile: owner.profile, limits }).at(-1);
    const scope = scopeOf({ adapter: owner.device.adapter, profile: owner.profile, robustness: 'on' });
    const decisions = new Map([['NN f32·f32 6x8x24', { form: other?.name }]]);
    const { events, form } = await multiply(storeOf(writeDecisions(decisions, scope)));
    expect(events).toEqual([]);
    expect(form).toEqual(other?.form);
  });

  it('ends when its time is up, by the table, and keeps that', async () => {
    const store = storeOf();
    const { events, form } = await multiply(store, 0.001);
    expect(events).toMatchObject([{ classes: 1, measured: 0 }]);
    expect(form).toBeUndefined();
    expect((await multiply(store)).events).toEqual([]);
  });

  it('has nothing to measure by without timestamps, and on software that did not ask for it', async () => {
    const plain = new WebgpuBackend(owner.device, { tier, tuner: { store: storeOf() } });
    const fn = compile(plain, ({ left, right }) => ({ y: left && right ? matmul(left, right) : undefined }) as never);
    if (a === undefined || b === undefined) throw new TypeError('a product has two operands');
    await fn.prepare({ left: a, right: b });
    expect(plain.kernelChoices.version).toBe(0);
    await fn.dispose();
  });
});
