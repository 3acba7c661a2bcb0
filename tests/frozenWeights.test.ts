import { createCpuBackend } from '@lowrank/cpu';
import { padBatch } from '@lowrank/data';
import { loraConfig } from '@lowrank/lora';
import { outlineModel } from '@lowrank/models';
import type { OutlineOptions } from '@lowrank/models';
import { addAdapter } from '@lowrank/patch';
import type { Backend } from '@lowrank/tensor';
import type { Plan } from '@lowrank/tensor/backend';
import type { MatmulAttrs } from '@lowrank/tensor/op';
import { dumpPlan } from '@lowrank/tensor/backend';
import { sizeOf } from '@lowrank/tensor/op';
import { planTrainStep } from '@lowrank/trainer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/**
 * Sizes of which no product is another's: an operand as large as a matrix is that matrix. Rows of 44 and 24 cross
 * blocks of 64.
 */
const config = {
  model_type: 'llama',
  hidden_size: 24,
  intermediate_size: 44,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  num_key_value_heads: 1,
  vocab_size: 37,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: 'silu',
  tie_word_embeddings: false,
};
const [length, rank] = [13, 4];
const ids = new Int32Array(length);
const row = { line: 1, ids, labels: ids, labelTokens: length - 1, fullLength: length, promptIsPrefix: true };
const matrixSizes = [24 * 24, 8 * 24, 44 * 24];

let backend: Backend;
beforeAll(async () => (backend = await createCpuBackend({ threads: 1 })));
afterAll(() => backend.dispose());

async function planOf(options: OutlineOptions, checkpointing: boolean): Promise<Plan> {
  const model = outlineModel(config, options);
  const { parameters } = await addAdapter(model, loraConfig({ r: rank, targetModules: 'all-linear' }));
  const { plans } = planTrainStep({
    spec: backend.spec,
    parameters,
    microBatches: [padBatch([row], { bucket: () => length })],
    loss: (batch) => model.loss(batch),
    checkpointing,
  });
  expect(plans).toHaveLength(1);
  return plans[0] ?? { buffers: [], steps: [], inputs: [], scalars: [], outputs: [] };
}

const products = ({ steps }: Plan): MatmulAttrs[] =>
  steps.flatMap(({ op, attrs }) => (op === 'matmul' ? [attrs as MatmulAttrs] : []));
/**
 * Of 7 matrices in each of 2 layers forward; backward the inputs of the first q, k and v are the embedding's, which is
 * frozen.
 */
const expectedProducts = (checkpointing: boolean): number => 14 + 11 + (checkpointing ? 14 : 0);

describe.each([false, true])('a training step, checkpointing %s', (checkpointing) => {
  test.each([
    ['NF4', { quantization: { type: 'nf4' } }],
    ['NF4, double', { quantization: { type: 'nf4', doubleQuantization: true } }],
    ['INT8', { quantization: { type: 'int8' } }],
  ] as const)('%s: nothing but products reads the codes, and no matrix is ever dense', async (_, options) => {
    const plan = await planOf({ dtype: 'bf16', ...options }, checkpointing);
    const kind = options.quantization.type === 'int8' ? 'rows8' : 'block4';
    const encoded = products(plan).filter(({ encoding }) => encoding?.kind === kind);
    // What a recomputed block would only do for its output, which nobody reads again, is left out.
    expect(encoded.length).toBeGreaterThanOrEqual(14 + 11);
    expect(encoded.length).toBeLessThanOrEqual(expectedProducts(checkpointing));
    // LoRA's part and residual sums ride along.
    expect(encoded.filter(({ lowRank }) => lowRank !== undefined).length).toBeGreaterThanOrEqual(14);
    for (const { op, attrs, inputs, outputs } of plan.steps) {
      const codes = inputs.filter(({ dtype }) => dtype === 'u8' || dtype === 'i8');
      if (codes.length > 0) expect([op, (attrs as MatmulAttrs).encoding?.kind]).toEqual(['matmul', kind]);
      for (const { shape, dtype } of [...inputs.filter((input) => !codes.includes(input)), ...outputs])
        expect([op, dtype, matrixSizes.includes(sizeOf(shape))]).toEqual([op, dtype, false]);
    }
    expect(dumpPlan(plan)).not.toMatch(/decodeMatrix|cast\(/);
  });

  test.each(['bf16', 'f16'] as const)('%s: matrices stay in 16 bits, and only products read them', async (dtype) => {
    const plan = await planOf({ dtype }, checkpointing);
    let count = 0;
    for (const { op, inputs, outputs } of plan.steps) {
      for (const { shape, dtype: type } of inputs.filter(({ shape }) => matrixSizes.includes(sizeOf(shape)))) {
        expect([op, type, shape.length]).toEqual(['matmul', dtype, 2]);
        count++;
      }
      expect(outputs.some(({ shape }) => matrixSizes.includes(sizeOf(shape)))).toBe(false);
    }
    expect(count).toBeGreaterThanOrEqual(14 + 11);
    expect(dumpPlan(plan)).not.toMatch(/cast\(/);
  });
});
