import type { Tensor } from '@lowrank/tensor';
import { compile, grad, mul } from '@lowrank/tensor';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { expectClose, floats, layouts, lossBatch, methodRun, openCase, rowsFor } from './methodCases.js';

test.each(['promptGpt2', 'prefixLlama'])(
  '%s on WebGPU: the loss of PEFT over packed rows, and the gradient of what is trained',
  async (name) => {
    const backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
    const { answers, file, model, method, adapter } = await openCase(name);
    const { parameters } = await method.attach(model, adapter);
    const batch = layouts.packed(rowsFor(model, (await methodRun()).rows));
    const step = compile(backend, (): Record<string, Tensor> => {
      const loss = mul(model.loss(lossBatch(batch)), 1 / batch.weight);
      return {
        loss,
        ...Object.fromEntries(
          grad(
            loss,
            parameters.map(({ parameter }) => parameter.tensor),
          ).map((gradient, at) => [parameters[at]?.name ?? '', gradient]),
        ),
      };
    });
    const results = await step.run();
    const [loss = NaN] = Float32Array.from((await results['loss']) ?? []);
    expect(Math.abs(loss / (answers.losses[0] ?? NaN) - 1)).toBeLessThan(2e-5);
    const whole = await floats(file, 'grad.prompt_embeddings');
    const width = whole.length / model.virtualTokens / parameters.length;
    for (const [at, { name: key }] of parameters.entries()) {
      // A prefix's parts lie side by side in one table.
      const want = Float32Array.from(
        { length: width * model.virtualTokens },
        (_, i) => whole[Math.floor(i / width) * width * parameters.length + at * width + (i % width)] ?? NaN,
      );
      expectClose(Float32Array.from((await results[key]) ?? []), want, 2e-4);
    }
    await step.dispose();
    model.dispose();
    backend.dispose();
  },
);
