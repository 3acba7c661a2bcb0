import { matmul } from '@lowrank/tensor';
import type { Tensor } from '@lowrank/tensor';
import { planFunction } from '@lowrank/tensor/backend';
import type { Plan } from '@lowrank/tensor/backend';
import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../constants.js';
import { portableProfile } from '../profile.js';
import { portableSpec } from '../spec.js';
import { productCandidates } from './productCandidates.js';
import { shapeClass } from './shapeClass.js';
import { sizeOfClass, Tuner } from './tuner.js';
import type { Stage } from './tuner.js';
import type { TunedEvent, TuningStore } from './tunerOptions.js';

const context = { profile: portableProfile(), limits: defaultLimits };
const scope = { version: '1.0.0', device: 'amd rdna-3; driver 1' };

function given(tensor: Tensor | undefined): Tensor {
  if (tensor === undefined) throw new TypeError('every argument is given');
  return tensor;
}

/** Products [m,k]·[k,n]. */
function planOf(...sizes: readonly (readonly [m: number, n: number, k: number])[]): Plan {
  const inputs = sizes.flatMap(([m, n, k], at) => [
    [`a${at}`, { shape: [m, k], dtype: 'f32' as const }] as const,
    [`b${at}`, { shape: [k, n], dtype: 'f32' as const }] as const,
  ]);
  return planFunction(
    (tensors) =>
      Object.fromEntries(sizes.map((_, at) => [`y${at}`, matmul(given(tensors[`a${at}`]), given(tensors[`b${at}`]))])),
    Object.fromEntries(inputs),
    portableSpec(),
  );
}

/**
 * A device on which the third candidate takes half as long as the others, and compiling takes `compiling` ms. Its clock
 * may stand still (`stands`), or tell nothing of a class that is `tooShort` for it.
 */
function deviceOf({ compiling = 10, stands = false, tooShort = '' } = {}) {
  const opened: string[] = [];
  const clock = { at: 0 };
  const stage: Stage = {
    ...context,
    now: () => clock.at,
    open({ shape }, candidates, { end }) {
      opened.push(shape.key);
      const began = clock.at;
      clock.at = Math.min(began + compiling, end);
      if (began + compiling > end) return Promise.resolve(undefined);
      return Promise.resolve({
        candidates,
        entries: candidates.length,
        time: (runs) =>
          Promise.resolve(
            runs.map(({ entry, repeats }) => {
              const took = (entry === 2 ? 1 : 2) * repeats;
              clock.at += took;
              return stands || shape.key === tooShort ? 0 : took;
            }),
          ),
        dispose: () => undefined,
      });
    },
  };
  return { stage, opened, clock };
}

function memoryStore(): TuningStore & { readonly texts: Map<string, string> } {
  const texts = new Map<string, string>();
  return {
    texts,
    read: (name) => Promise.resolve(texts.get(name)),
    write: (name, text) => (texts.set(name, text), Promise.resolve()),
  };
}

const plan = planOf([512, 768, 768], [512, 8, 768], [512, 512, 64]);
const keys = ['NN f32·f32 512x768x768', 'NN f32·f32 512x8x768', 'NN f32·f32 512x512x64'];

/** Decides on the plan as a new process would, and tells the forms. */
async function decide({ store = memoryStore(), device = deviceOf(), given: more = scope, seconds = 3 } = {}) {
  const events: TunedEvent[] = [];
  const tuner = new Tuner(device.stage, {
    store,
    seconds,
    name: 'gpu',
    scope: more,
    onTuned: (event) => void events.push(event),
  });
  const isNew = await tuner.decide(plan);
  return { isNew, forms: keys.map((key) => tuner.chosen(key)), events, opened: device.opened, tuner };
}

describe('the tuner', () => {
  it('chooses what is measured to be faster, the dearest class first, and tells', async () => {
    const { forms, isNew, opened, events } = await decide();
    const size = { batch: 1, m: 512, n: 768, k: 768, transposeA: false, transposeB: false, encoded: false };
    const product = { ...size, operands: 'f32·f32', fused: false };
    const shape = shapeClass(product) ?? { m: 0, n: 0, k: 0 };
    expect(forms[0]).toBe(productCandidates(sizeOfClass(product, shape), context)[2]?.name);
    expect(forms.every((form) => form !== undefined)).toBe(true);
    expect(isNew).toBe(true);
    expect(opened).toEqual([keys[0], keys[2], keys[1]]);
    expect(events).toMatchObject([{ classes: 3, measured: 3, faster: 3 }]);
  });

  it('makes the same choice twice: measured again, and without measuring from what it kept', async () => {
    const store = memoryStore();
    const { forms } = await decide({ store });
    expect((await decide()).forms).toEqual(forms);
    const again = await decide({ store });
    expect(again.forms).toEqual(forms);
    expect(again.opened).toEqual([]);
    expect(again.isNew).toBe(true);
    // The plan that is made with these choices has nothing more to decide.
    expect(await again.tuner.decide(plan)).toBe(false);
  });

  it('ends within its time, and keeps the table’s forms of what came too late', async () => {
    const [store, device] = [memoryStore(), deviceOf({ compiling: 400 })];
    const { forms, events } = await decide({ store, device, seconds: 0.6 });
    expect(device.clock.at).toBeLessThanOrEqual(602);
    expect(forms).toEqual([expect.any(String), undefined, undefined]);
    expect(events).toMatchObject([{ classes: 3, measured: 1, faster: 1 }]);
    const again = await decide({ store });
    expect(again.forms).toEqual(forms);
    expect(again.opened).toEqual([]);
  });

  it('spends its time once, whatever comes later', async () => {
    const device = deviceOf({ compiling: 400 });
    const { tuner } = await decide({ device, seconds: 0.6 });
    const at = device.clock.at;
    await tuner.decide(planOf([64, 256, 256]));
    expect(device.clock.at).toBe(at);
  });

  it.each([
    ['cut off', (text: string) => text.slice(0, -20)],
    ['empty', () => ''],
    ['no object', () => 'null'],
    ['edited', (text: string) => text.replace(/ by (\d+)/, ' by 7')],
    ['of unknown forms', (text: string) => text.replaceAll('"sum": "', '"sum": "x')],
  ])('ignores a cache that is %s, and writes it anew', async (_, damage) => {
    const store = memoryStore();
    const { forms } = await decide({ store });
    const whole = store.texts.get('gpu') ?? '';
    store.texts.set('gpu', damage(whole));
    const again = await decide({ store });
    expect(again.forms).toEqual(forms);
    expect(again.opened).toHaveLength(3);
    expect(JSON.parse(store.texts.get('gpu') ?? '')).toMatchObject({ sum: JSON.parse(whole).sum });
  });

  it('notices another driver, and another version', async () => {
    const store = memoryStore();
    await decide({ store });
    const driver = await decide({ store, given: { ...scope, device: 'amd rdna-3; driver 2' } });
    expect(driver.opened).toHaveLength(3);
    const version = await decide({ store, given: { ...scope, device: 'amd rdna-3; driver 2', version: '1.0.1' } });
    expect(version.opened).toHaveLength(3);
  });

  it('takes the table where the device’s clock stands still, and keeps nothing', async () => {
    const [store, device] = [memoryStore(), deviceOf({ stands: true })];
    const { forms, events, opened } = await decide({ store, device });
    expect(forms).toEqual([undefined, undefined, undefined]);
    expect(events).toEqual([]);
    expect(opened).toHaveLength(1);
    expect((await decide({ store })).opened).toHaveLength(3);
  });

  it('keeps the table’s form of a class that is too short for a clock that told of others', async () => {
    const [store, device] = [memoryStore(), deviceOf({ tooShort: keys[2] ?? '' })];
    const { forms, opened } = await decide({ store, device });
    expect(opened).toEqual([keys[0], keys[2], keys[1]]);
    expect(forms).toEqual([expect.any(String), expect.any(String), undefined]);
    const again = await decide({ store });
    expect(again.forms).toEqual(forms);
    expect(again.opened).toEqual([]);
  });

  it('does without a cache that cannot be read or written', async () => {
    const broken = { read: () => Promise.reject(new Error('no disk')), write: () => Promise.reject(new Error('full')) };
    const device = deviceOf();
    const tuner = new Tuner(device.stage, { store: broken, name: 'gpu', scope });
    expect(await tuner.decide(plan)).toBe(true);
  });
});
