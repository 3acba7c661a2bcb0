import { loraConfig } from '@lowrank/lora';
import { compile } from '@lowrank/tensor';
import { ReferenceBackend } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { loadAdapter } from './adapters.js';
import { swapAdapter } from './swapAdapter.js';
import { largestDifference, logitsOf, randomAdapter, TinyModel } from './testing.js';

const paths = (name: string): string[] => [0, 1, 2].map((layer) => `model.layers.${layer}.self_attn.${name}`);
const large = randomAdapter(
  loraConfig({ targetModules: ['q_proj', 'v_proj'], r: 4, alpha: 8 }),
  [...paths('q_proj'), ...paths('v_proj')],
  { seed: 1 },
);
const small = randomAdapter(
  loraConfig({ targetModules: ['q_proj'], r: 2, alpha: 3, useRslora: true }),
  paths('q_proj'),
  { seed: 2 },
);

/** The plan rounds to f32, the reference does not. */
function expectNear(got: ArrayLike<number>, want: Float64Array = new Float64Array()): void {
  expect(largestDifference(want, got)).toBeLessThan(1e-5 * Math.max(...want.map(Math.abs)));
}

test(
  'another rank, another scaling, fewer layers: the plan compiled before computes the new adapter, and the old ' +
    'one again',
  async () => {
    const [wanted, first] = await Promise.all(
      [small, large].map((adapter) => {
        const model = new TinyModel();
        loadAdapter(model, adapter);
        return logitsOf(model);
      }),
    );
    const model = new TinyModel();
    loadAdapter(model, large);
    const step = compile(new ReferenceBackend(), () => ({ logits: model.forward() }));
    const run = async (): Promise<ArrayLike<number>> => (await step.run()).logits;
    expectNear(await run(), first);
    swapAdapter(model, small);
    expectNear(await run(), wanted);
    swapAdapter(model, large);
    expectNear(await run(), first);
    await step.dispose();
  },
);

test('what does not fit is refused, and nothing is changed', async () => {
  const model = new TinyModel();
  loadAdapter(model, small);
  const before = await logitsOf(model);
  expect(() => swapAdapter(model, large)).toThrow(/q_proj has rank 2, not 4.*v_proj is not adapted/);
  expect(() => swapAdapter(model, small, 'other')).toThrow(/adapter other.*default/);
  expect(await logitsOf(model)).toEqual(before);
});
