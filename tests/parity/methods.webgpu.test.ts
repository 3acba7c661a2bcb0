import type { Tensor } from '@lowrank/tensor';
import { compile, grad, mul } from '@lowrank/tensor';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import {
  expectClose,
  floats,
  layouts,
  lossBatch,
  methodRun,
  oneOfEachMethod,
  openCase,
  rowsFor,
} from './methodCases.js';

test.each(await oneOfEachMethod())(
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
    const keys = [...file.tensors.keys()].filter((key) => key.startsWith('grad.'));
    // A prefix's parts lie side by side in one table.
    const isSideBySide = keys.length < parameters.length;
    for (const [at, { name: key }] of parameters.entries()) {
      const whole = await floats(file, isSideBySide ? 'grad.prompt_embeddings' : `grad.${key}`);
      const parts = isSideBySide ? parameters.length : 1;
      const rows = isSideBySide ? model.virtualTokens : 1;
      const width = whole.length / rows / parts;
      const want = Float32Array.from(
        { length: width * rows },
        (_, i) => whole[Math.floor(i / width) * width * parts + (isSideBySide ? at : 0) * width + (i % width)] ?? NaN,
      );
      expectClose(Float32Array.from((await results[key]) ?? []), want, 2e-4);
    }
    await step.dispose();
    model.dispose();
    backend.dispose();
  },
);
