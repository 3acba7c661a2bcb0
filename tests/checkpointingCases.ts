import { fileURLToPath } from 'node:url';
import type { LoraConfig } from '@lowrank/lora';
import { loraConfig } from '@lowrank/lora';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { addAdapter } from '@lowrank/patch';
import { withCheckpointing, withDropout } from '@lowrank/nn';
import type { Backend, Tensor } from '@lowrank/tensor';
import { compile, grad, Rng, scalar, tensor } from '@lowrank/tensor';
import { dumpPlan } from '@lowrank/tensor/backend';
import { sourceOf } from '@lowrank/tensor/op';
import { expect } from 'vitest';

const folder = fileURLToPath(new URL('../parity/golden/llama/untied', import.meta.url));

/**
 * With dropout the recomputed layers draw what they drew: the loss and every gradient are those without checkpointing,
 * to the bit where nothing is fused, and within 1e-6 of the largest where fusion ends elsewhere.
 */
export async function expectSameDraws(backend: Backend, given: Partial<LoraConfig>, length: number): Promise<void> {
  const model = await loadCausalModel(await openFolder(folder));
  const { parameters } = await addAdapter(
    model,
    loraConfig({ targetModules: 'all-linear', r: 3, alpha: 6, dropout: 0.3, ...given }),
  );
  const rng = new Rng(4);
  for (const { name, parameter } of parameters)
    if (name.includes('lora_B'))
      sourceOf(parameter.tensor).write(Float32Array.from({ length: parameter.tensor.size }, () => 0.1 * rng.normal()));
  const row = (value: (at: number) => number): Tensor =>
    tensor(
      Int32Array.from({ length }, (_, at) => value(at)),
      [1, length],
    );
  const batch = {
    ids: row((at) => 3 + ((at * 11) % 60)),
    labels: row((at) => 3 + ((at * 7) % 60)),
    positions: row((at) => at),
    segments: tensor(
      Int32Array.from({ length: 2 * length }, (_, at) => (at % 2) * length),
      [1, length, 2],
    ),
  };
  const random = { seed: scalar(9, { dtype: 'u32' }), step: scalar(0, { dtype: 'u32' }) };
  const run = async (
    checkpointing: boolean,
    fusion: boolean,
    draw = 0,
  ): Promise<{ values: Float32Array[]; draws: number }> => {
    random.step.value = draw;
    const step = compile(
      backend,
      (): Record<string, Tensor> => {
        const loss = withDropout(random, () => withCheckpointing(checkpointing, () => model.loss(batch)));
        return Object.fromEntries(
          [
            loss,
            ...grad(
              loss,
              parameters.map(({ parameter }) => parameter.tensor),
            ),
          ].map((value, at) => [String(at), value]),
        );
      },
      { fusion },
    );
    const values = await Promise.all(
      Object.values(await step.run()).map(async (value) => Float32Array.from(await value)),
    );
    const draws = dumpPlan(step.plan({})).match(/random/g)?.length ?? 0;
    await step.dispose();
    return { values, draws };
  };
  const plain = await run(false, false);
  const twice = await run(true, false);
  expect(plain.values.length).toBe(1 + parameters.length);
  expect(twice.draws).toBe(2 * plain.draws);
  expect(twice.values).toEqual(plain.values);
  const another = await run(false, false, 1);
  expect(another.values[0]).not.toEqual(plain.values[0]);
  const [fused, fusedTwice] = [await run(false, true), await run(true, true)];
  for (const [at, values] of fused.values.entries()) {
    const scale = values.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
    const worst = values.reduce(
      (top, value, i) => Math.max(top, Math.abs(value - (fusedTwice.values[at]?.[i] ?? NaN))),
      0,
    );
    expect({ at, worst }).toEqual({ at, worst: expect.toSatisfy((error: number) => error <= 1e-6 * scale) as unknown });
  }
  model.dispose();
}
