import { grad, mul, reshape } from '@lowrank/tensor';
import { evaluateReference, ReferenceBackend, topological } from '@lowrank/tensor/op';
import { describe, expect, test } from 'vitest';
import { openFolder } from '../files.js';
import { generate } from '../generate.js';
import { loadCausalModel } from '../load.js';
import { goldenBatch, goldenFloats, goldenFolder, openGolden } from '../testing.js';

const variants = ['tied', 'untied', 'headDim16', 'bias', 'ropeLlama3'];

/** transformers computes in f32 (and RoPE's angles too), the reference in f64: a few roundings of the largest value. */
function expectClose(got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number): void {
  expect(got.length).toBe(want.length);
  const scale = Math.max(...Array.from(want, Math.abs));
  for (let i = 0; i < want.length; i++)
    expect(Math.abs((got[i] ?? NaN) - (want[i] ?? NaN))).toBeLessThan(tolerance * scale);
}

describe.each(variants)('%s as transformers computes it', (variant) => {
  test.each(['plain', 'packed'] as const)('logits and loss of the %s batch', async (kind) => {
    const golden = await openGolden(variant);
    const model = await loadCausalModel(await openFolder(goldenFolder(variant)));
    const batch = await goldenBatch(golden, kind);
    const { ids, positions, segments } = batch;
    const hidden = model.hidden(ids, { positions, segments });
    const logits = model.logits(reshape(hidden, [ids.size, model.shape.hiddenSize]));
    const [values = [], loss] = await evaluateReference([logits, model.loss(batch)]);
    expectClose(values, await goldenFloats(golden, `base.${kind}.logits`), 5e-6);
    const { loss: mean, tokens } = golden.answers.base[kind];
    expect(Math.abs((loss?.[0] ?? NaN) / tokens / mean - 1)).toBeLessThan(2e-6);
  });

  test('greedy text by a cache, as planned', async () => {
    const { answers } = await openGolden(variant);
    const model = await loadCausalModel(await openFolder(goldenFolder(variant)));
    const backend = new ReferenceBackend();
    // Side by side: rows of unlike length share the prefill and decode at places of their own.
    const texts = await generate(
      model,
      { backend, prompts: answers.greedy.base.map(({ promptIds }) => promptIds) },
      { maxNewTokens: 8 },
    );
    expect(texts).toEqual(answers.greedy.base.map(({ ids }) => ids.slice(0, 8)));
  });
});

test.each(['tied', 'untied'])('%s: the gradient of every weight', async (variant) => {
  const golden = await openGolden(variant);
  const model = await loadCausalModel(await openFolder(goldenFolder(variant)));
  const loss = mul(model.loss(await goldenBatch(golden, 'plain')), 1 / golden.answers.base.plain.tokens);
  const named = [...model.namedParameters()];
  const gradients = await evaluateReference(
    grad(
      loss,
      named.map(([, { tensor }]) => tensor),
    ),
  );
  for (const [at, [name]] of named.entries())
    expectClose(gradients[at] ?? [], await goldenFloats(golden, `base.grad.${name}`), 1e-5);
  expect(named.length).toBe([...golden.file.tensors.keys()].filter((key) => key.startsWith('base.grad.')).length);
});

test.each([
  ['tied-bf16', 'bf16'],
  ['tied-f16', 'f16'],
])('%s keeps its matrices in %s and computes as if they were widened', async (variant, dtype) => {
  const batch = await goldenBatch(await openGolden('tied'), 'plain');
  const narrow = await loadCausalModel(await openFolder(goldenFolder(variant)));
  const wide = await loadCausalModel(await openFolder(goldenFolder(variant)), { widen: true });
  for (const [name, { tensor }] of narrow.namedParameters())
    expect([name, tensor.dtype]).toEqual([name, name.includes('norm') ? 'f32' : dtype]);
  for (const [, { tensor }] of wide.namedParameters()) expect(tensor.dtype).toBe('f32');
  const [a, b] = await evaluateReference([narrow.loss(batch), wide.loss(batch)]);
  expect(a).toEqual(b);
});

test('the graph carries module paths', async () => {
  const model = await loadCausalModel(await openFolder(goldenFolder('tied')));
  const batch = await goldenBatch(await openGolden('tied'), 'plain');
  const scopes = topological([model.hidden(batch.ids, { positions: batch.positions })]).map((node) =>
    node.kind === 'op' ? node.scope : '',
  );
  for (const path of [
    'model.embed_tokens',
    'model.layers.0.self_attn.q_proj',
    'model.layers.1.mlp.down_proj',
    'model.layers.1.post_attention_layernorm',
    'model.norm',
  ])
    expect(scopes).toContain(path);
});
