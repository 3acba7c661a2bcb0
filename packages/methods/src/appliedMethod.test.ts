import { addAdapter, removeAdapter } from '@lowrank/patch';
import { expect, test } from 'vitest';
import { bitfit } from './bitfit.js';
import { bottleneckAdapter } from './bottleneckAdapter.js';
import { ia3 } from './ia3.js';
import { methodNamed, methodNames } from './methods.js';
import { hiddenOf, TinyModel } from './testing.js';

/** Those that put layers or tokens of their own into a model. */
const methods = methodNames.filter((name) => !['lora', 'full', 'subspace'].includes(name)).map(methodNamed);
const lora = {
  r: 2,
  alpha: 2,
  dropout: 0,
  useRslora: false,
  rankPattern: {},
  alphaPattern: {},
  init: 'kaiming',
  bias: 'none',
  fanInFanOut: false,
} as const;

test.each(methods)('$title goes over no adapter and no other method, and the model is as it was', async (method) => {
  for (const name of ['embed_tokens', 'o_proj']) {
    const model = new TinyModel();
    const before = await hiddenOf(model);
    await addAdapter(model, { ...lora, targetModules: [name] });
    await expect(method.inject(model, { virtualTokens: 2 })).rejects.toThrow(
      new RegExp(`^${method.title}: expected a model without adapters.*got a Lora(Linear|Embedding) at .*${name}`),
    );
    removeAdapter(model);
    const tuning = await method.inject(model, { virtualTokens: 2 });
    for (const other of methods)
      await expect(other.inject(model, { virtualTokens: 2 })).rejects.toMatchObject({ code: 'methods.taken' });
    tuning.remove();
    expect(await hiddenOf(model)).toEqual(before);
  }
});

test.each([bitfit, bottleneckAdapter, ia3])(
  '$title takes the head of a task for no target, as PEFT does, and can be read back',
  async (method) => {
    const headed = (): TinyModel & { headModules: string[] } =>
      Object.assign(new TinyModel({ biased: true }), { headModules: ['k_proj'], taskType: 'SEQ_CLS' as const });
    const settings = { feedforwardModules: [], bottleneck: 2 };
    const model = headed();
    const applied = await method.inject(model, { ...settings, targetModules: ['v_proj', 'k_proj'] });
    const adapter = await applied.extract();
    const ownOf = ({ tensors }: typeof adapter): string[] => [...tensors.keys()].filter((key) => !/v_proj/.test(key));
    expect(ownOf(adapter).filter((key) => !/k_proj\.(weight|bias)$/.test(key))).toEqual([]);
    await method.attach(headed(), adapter);
    await expect(method.inject(headed(), { ...settings, targetModules: ['k_proj'] })).rejects.toMatchObject({
      code: 'patch.noTargets',
      message: expect.stringContaining('trained whole (k_proj)') as unknown,
    });
  },
);
