import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isLowrankError } from '@lowrank/errors';
import { createCpuBackend } from '@lowrank/cpu';
import { readTokenizer } from '@lowrank/data';
import type { AppliedMethod, Method, MethodAdapter } from '@lowrank/methods';
import { promptTuning } from '@lowrank/methods';
import { mergeFolders } from '../../packages/lowrank/src/entries/node.js';
import type { CausalModel } from '@lowrank/models';
import { createGenerator, loadCausalModel, openFolder } from '@lowrank/models';
import { bytesSource } from '@lowrank/safetensors';
import type { Backend, Tensor } from '@lowrank/tensor';
import { compile, grad, mul, setDefaultBackend } from '@lowrank/tensor';
import { train } from '@lowrank/trainer';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  caseNames,
  expectClose,
  floats,
  golden,
  layouts,
  lossBatch,
  methodRun,
  openCase,
  rowsFor,
  tracedLogits,
} from './methodCases.js';

/** Every golden but one that PEFT projects when it saves, which has a test of its own. */
const names = caseNames().filter((name) => name !== 'prefixProjected');

let backend: Backend;
beforeAll(async () => {
  backend = await createCpuBackend();
  setDefaultBackend(backend);
});
afterAll(() => backend.dispose());

async function valueOf(value: () => Tensor): Promise<Float32Array> {
  const step = compile(backend, () => ({ value: value() }));
  const result = Float32Array.from((await (await step.run()).value) ?? []);
  await step.dispose();
  return result;
}

/** Every fourth row of the first text's logits. */
async function logitsOf(model: CausalModel): Promise<Float32Array> {
  const [row] = (await methodRun()).rows;
  if (row === undefined) throw new Error('no rows');
  const all = await valueOf(() => tracedLogits(model, row));
  const width = model.shape.vocabularySize;
  return all.filter((_, at) => Math.floor(at / width) % 4 === 0);
}

/** Gradients by the golden's names: those of a prefix lie side by side in one table, as its files have it. */
async function gradientsOf(
  model: CausalModel,
  { parameters }: AppliedMethod,
  layout: keyof typeof layouts,
): Promise<Map<string, Float32Array>> {
  const batch = layouts[layout](rowsFor(model, (await methodRun()).rows));
  const loss = mul(model.loss(lossBatch(batch)), 1 / batch.weight);
  const traced = grad(
    loss,
    parameters.map(({ parameter }) => parameter.tensor),
  );
  const gradients = new Map<string, Float32Array>();
  for (const [at, gradient] of traced.entries())
    gradients.set(parameters[at]?.name ?? '', await valueOf(() => gradient));
  if (!gradients.has('prefix.0.keys')) return gradients;
  const parts = [...gradients.values()];
  const rows = model.virtualTokens;
  const width = (parts[0]?.length ?? 0) / rows;
  return new Map([
    [
      'prompt_embeddings',
      Float32Array.from(
        { length: rows * width * parts.length },
        (_, at) =>
          parts[Math.floor(at / width) % parts.length]?.[
            Math.floor(at / (width * parts.length)) * width + (at % width)
          ] ?? NaN,
      ),
    ],
  ]);
}

test.each(names)('%s: logits before and after five steps, losses, and every gradient', async (name) => {
  const { answers, file, model, method, adapter } = await openCase(name);
  const base = await logitsOf(model);
  const tuning = await method.attach(model, adapter);
  expectClose(await logitsOf(model), await floats(file, 'logits.start'), 2e-5);
  const wanted = [...file.tensors.keys()].filter((key) => key.startsWith('grad.')).sort();
  for (const layout of ['packed', 'padded'] as const) {
    const gradients = await gradientsOf(model, tuning, layout);
    expect([...gradients.keys()].map((key) => `grad.${key}`).sort()).toEqual(wanted);
    for (const [key, gradient] of gradients) expectClose(gradient, await floats(file, `grad.${key}`), 1e-4);
  }
  const { steps, learningRate, rows } = await methodRun();
  const batch = layouts.packed(rowsFor(model, rows));
  const losses: number[] = [];
  await train({
    createSession: () => ({ backend, loss: (given) => model.loss(given), parameters: tuning.parameters }),
    batches: (function* () {
      for (;;) yield [batch];
    })(),
    steps,
    learningRate,
    clip: 0,
    onEvent: (event) => void (event.type === 'step' && losses.push(event.loss)),
  });
  losses.forEach((got, at) => expect(Math.abs(got / (answers.losses[at] ?? NaN) - 1)).toBeLessThan(2e-5));
  expectClose(await logitsOf(model), await floats(file, 'logits.trained'), 1e-4);
  // Taken out, it leaves the model as it was.
  tuning.remove();
  expect(await logitsOf(model)).toEqual(base);
  model.dispose();
});

const bytesOf = (method: Method, adapter: MethodAdapter): Buffer =>
  Buffer.from(method.write(adapter)['adapter_model.safetensors'] as Uint8Array);

test.each(names)(
  '%s: what was saved is saved again from the model, byte by byte, with the same configuration',
  async (name) => {
    const { model, method, adapter } = await openCase(name);
    const tuning = await method.attach(model, adapter);
    const again = await tuning.extract();
    const original = await readFile(`${golden}methods/${name}/adapter_model.safetensors`);
    expect(Buffer.compare(bytesOf(method, again), original)).toBe(0);
    const config = String(method.write(again)['adapter_config.json']);
    expect(config.trimEnd()).toBe((await readFile(`${golden}methods/${name}/adapter_config.json`, 'utf8')).trimEnd());
    const read = await method.read({
      config: JSON.parse(config) as unknown,
      weights: bytesSource(bytesOf(method, again)),
      name,
    });
    expect(read).toEqual(adapter);
    model.dispose();
  },
);

test.each(names)('%s: merged into the model’s files it computes the same, or says why not', async (name) => {
  const { answers, file } = await openCase(name);
  const base = `${golden}${answers.base}`;
  const output = await mkdtemp(join(tmpdir(), 'lowrank-merge-'));
  try {
    const merging = mergeFolders({ model: base, adapter: `${golden}methods/${name}`, output });
    const refusal = await merging.then(
      () => undefined,
      (error: unknown) => error,
    );
    if (refusal !== undefined) {
      const codes = ['methods.merge', 'methods.noBias'];
      expect(codes).toContain(isLowrankError(refusal) ? refusal.code : refusal);
      return;
    }
    const model = await loadCausalModel(await openFolder(output));
    expectClose(await logitsOf(model), await floats(file, 'logits.start'), 2e-5);
    model.dispose();
  } finally {
    await rm(output, { recursive: true, force: true });
  }
});

test('a prefix that PEFT trained with a projection is saved projected, and read like any other', async () => {
  const { file, model, method, adapter } = await openCase('prefixProjected');
  expect(adapter.config['prefix_projection']).toBe(true);
  const tuning = await method.attach(model, adapter);
  expectClose(await logitsOf(model), await floats(file, 'logits.start'), 2e-5);
  expect((await tuning.extract()).config['prefix_projection']).toBe(false);
  expect(
    Buffer.compare(
      bytesOf(method, await tuning.extract()),
      await readFile(`${golden}methods/prefixProjected/adapter_model.safetensors`),
    ),
  ).toBe(0);
  model.dispose();
});

test(
  'prompt tuning begins as a text as PEFT’s does: the tokenizer’s ids, again and again, behind ' + 'Gemma’s factor',
  async () => {
    const { answers, model, adapter } = await openCase('promptGemma');
    const text = String(adapter.config['prompt_tuning_init_text']);
    const tuning = await promptTuning.inject(
      model,
      { virtualTokens: 5, promptInitText: text, baseModel: 'gemma' },
      { tokenizer: () => readTokenizer(`${golden}${answers.base}`) },
    );
    expectClose(
      (await tuning.extract()).tensors.get('prompt_embeddings')?.data,
      adapter.tensors.get('prompt_embeddings')?.data ?? [],
      1e-6,
    );
    const { peft_version: _, ...config } = adapter.config;
    expect((await tuning.extract()).config).toEqual(config);
    model.dispose();
  },
);

test('a generator keeps what it has read of virtual tokens, and penalizes none of them', async () => {
  const { model, method, adapter } = await openCase('promptLlama');
  await method.attach(model, adapter);
  const prompt = [...((await methodRun()).rows[0]?.ids ?? [])].slice(0, 12);
  const [generator, fresh] = [createGenerator(model, { backend }), createGenerator(model, { backend })];
  const [first] = await generator.generate([prompt], { maxNewTokens: 5, repetitionPenalty: 1.4, reusePrefix: true });
  const longer = [...prompt, ...(first?.ids ?? []), 7, 9];
  const settings = { maxNewTokens: 4, repetitionPenalty: 1.4 };
  expect(await generator.generate([longer], { ...settings, reusePrefix: true })).toEqual(
    await fresh.generate([longer], settings),
  );
  const room = model.shape.maxPositions - model.virtualTokens;
  await expect(fresh.generate([prompt], { maxNewTokens: room })).rejects.toThrow(
    new RegExp(`at most ${room} positions, besides 4 virtual tokens`),
  );
  await generator.dispose();
  await fresh.dispose();
  model.dispose();
});

test.each(['promptGemma', 'promptGpt2', 'prefixLlama', 'prefixGemma2', 'prefixMistral', 'bitfitGpt2', 'adapterNeox'])(
  '%s: what is written token by token is what the logits of the whole say',
  async (name) => {
    const { model, method, adapter } = await openCase(name);
    await method.attach(model, adapter);
    const { rows } = await methodRun();
    const prompts = rows.map(({ ids }, at) => [...ids.subarray(0, 9 + 3 * at)]);
    const generator = createGenerator(model, { backend });
    const texts = await generator.generate(prompts, { maxNewTokens: 6 });
    for (const [at, prompt] of prompts.entries()) {
      const ids = [...prompt];
      for (let step = 0; step < 6; step++) {
        const logits = await valueOf(() =>
          tracedLogits(model, {
            line: 1,
            ids: Int32Array.from(ids),
            labels: new Int32Array(ids.length),
            labelTokens: 0,
            fullLength: ids.length,
            promptIsPrefix: true,
          }),
        );
        const last = logits.subarray(logits.length - model.shape.vocabularySize);
        ids.push(last.indexOf(Math.max(...last)));
      }
      expect([...(texts[at]?.ids ?? [])]).toEqual(ids.slice(prompt.length));
    }
    await generator.dispose();
    model.dispose();
  },
);
