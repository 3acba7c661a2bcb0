import { createCpuBackend } from '@lowrank/cpu';
import type { Backend, HostArray } from '@lowrank/tensor';
import { add, argmax, compile, embedding, grad, linear, linearCrossEntropy, Rng, tensor } from '@lowrank/tensor';
import { sourceOf } from '@lowrank/tensor/op';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { expect, test } from 'vitest';

/**
 * Qwen2.5-0.5B's vocabulary and width: 272 MB in bf16, two of WebGPU's default bindings and more than its default
 * buffer.
 */
const [vocabulary, width, rank] = [151_936, 896, 8];

/** ±2⁻⁴·(1 + mantissa), drawn by a generator that is quick enough for 136 million. */
function makeTable(): Uint16Array {
  const table = new Uint16Array(vocabulary * width);
  let state = 5;
  for (let i = 0; i < table.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    table[i] = 0x3d80 | ((state >>> 16) & 0x807f);
  }
  return table;
}

function random(count: number, seed: number): Float32Array {
  const rng = new Rng(seed);
  return Float32Array.from({ length: count }, () => 0.2 * rng.normal());
}

/** A tied head over one adapter: loss, its gradients, and the likeliest tokens. */
async function run(
  backend: Backend,
  values: Uint16Array,
): Promise<{ results: Record<string, HostArray>; largestOperand: number; rows: number[] }> {
  const table = tensor(values, [vocabulary, width], { dtype: 'bf16', name: 'embed_tokens' });
  const [a, b] = [tensor(random(rank * width, 1), [rank, width]), tensor(random(rank * width, 2), [width, rank])];
  const pieces = sourceOf(table).piecesOn(backend.spec) ?? [];
  const step = compile(backend, ({ ids = a, labels = a }) => {
    const x = embedding(table, ids);
    const h = add(x, linear(linear(x, a), b));
    const loss = linearCrossEntropy(h, table, labels);
    const [da = a, db = b] = grad(loss, [a, b]);
    return { h, loss, da, db, best: argmax(linear(h, table)) };
  });
  // Around the cuts at WebGPU's default limits, and at both ends.
  const cut = 37_440;
  const inputs = {
    ids: { data: Int32Array.of(0, cut - 1, cut, vocabulary - 1), shape: [4] },
    labels: { data: Int32Array.of(vocabulary - 1, cut, cut - 1, 3), shape: [4] },
  };
  const plan = await step.prepare({ ids: { shape: [4], dtype: 'i32' }, labels: { shape: [4], dtype: 'i32' } });
  const largestOperand = Math.max(
    ...plan.steps.flatMap(({ inputs: read, outputs }) => [...read, ...outputs]).map(({ bytes }) => bytes),
  );
  const results: Record<string, HostArray> = {};
  for (const [name, value] of Object.entries(await step.run(inputs))) results[name] = await value;
  const offset = (cut - 2) * width * 2;
  results['rows'] = new Uint16Array(await sourceOf(table).read(offset, 4 * width * 2));
  expect(results['rows']).toEqual(values.slice(offset / 2, offset / 2 + 4 * width));
  await step.dispose();
  [table, a, b].forEach((owned) => owned.dispose());
  expect(backend.memory.buffers).toBe(0);
  return { results, largestOperand, rows: pieces.map(({ spec }) => spec.shape[0] ?? 0) };
}

test('a vocabulary of 151,936 × 896 runs at WebGPU’s default limits as on the CPU, which needs no cuts', async () => {
  const values = makeTable();
  const webgpu = await createWebgpuBackend({ limits: 'default' });
  expect([webgpu.spec.maxBindingBytes, webgpu.spec.maxBufferBytes]).toEqual([2 ** 27, 2 ** 28]);
  const cut = await run(webgpu, values);
  webgpu.dispose();
  expect(cut.rows).toEqual([37_440, 37_440, 37_440, 37_440, 2176]);
  expect(cut.largestOperand).toBeLessThanOrEqual(2 ** 27);
  const cpu = await createCpuBackend();
  const whole = await run(cpu, values);
  cpu.dispose();
  expect(whole.rows).toEqual([]);
  for (const [name, want] of Object.entries(whole.results)) {
    const scale = Math.max(...Array.from(want, Math.abs));
    let worst = 0;
    want.forEach((value, at) => (worst = Math.max(worst, Math.abs((cut.results[name]?.[at] ?? NaN) - value))));
    // Sums of 151,936 terms in f32, in two orders.
    expect(worst / scale, `${name}: ${worst} of ${scale}`).toBeLessThan(1e-4);
  }
}, 300_000);
