import { loraConfig } from '@lowrank/lora';
import type { LoraAdapter } from '@lowrank/lora';
import { fromNumbers, toFloat32 } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import type { CheckpointTensor } from './mergedTensors.js';
import { mergedTensors } from './mergedTensors.js';

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
const bf16 = (values: readonly number[]): Uint8Array => bytesOf(fromNumbers(Float32Array.from(values), 'bf16'));
const stored = (name: string, shape: number[], values: readonly number[]): CheckpointTensor => ({
  name,
  dtype: 'BF16',
  shape,
  read: () => Promise.resolve(bf16(values)),
});
const numbers = async (tensors: readonly CheckpointTensor[], name: string): Promise<number[]> => {
  const bytes = new Uint8Array((await tensors.find((tensor) => tensor.name === name)?.read()) ?? []);
  return [...toFloat32(new Uint16Array(bytes.buffer), 'bf16')];
};
const checkpoint = [
  stored('embed_tokens.weight', [3, 2], [1, 2, 3, 4, 5, 6]),
  stored('norm.weight', [2], [1, 1]),
  stored('norm.bias', [2], [0, 0]),
];
const whole = (shape: number[], values: number[]): { dtype: 'F32'; shape: number[]; data: Uint8Array } => ({
  dtype: 'F32',
  shape,
  data: bytesOf(Float32Array.from(values)),
});
const adapter = (given: Partial<LoraAdapter>, config: object): LoraAdapter => ({
  config: loraConfig({ targetModules: ['q_proj'], ...config }),
  layers: new Map(),
  ...given,
});

test('modules saved whole and token rows take their places in the dtype of the checkpoint', async () => {
  const merged = mergedTensors(
    checkpoint,
    adapter(
      {
        whole: new Map([
          ['norm.weight', whole([2], [1.5, 2.00001])],
          ['norm.bias', whole([2], [0.25, -1])],
        ]),
        tokens: new Map([['embed_tokens', { rows: Float32Array.of(7, 8, 9.00001, 10), width: 2 }]]),
      },
      { modulesToSave: ['norm'], trainableTokenIndices: [2, 0] },
    ),
  );
  expect(merged.map(({ name, dtype }) => [name, dtype])).toEqual(checkpoint.map(({ name, dtype }) => [name, dtype]));
  expect(await numbers(merged, 'norm.weight')).toEqual([1.5, 2]);
  expect(await numbers(merged, 'norm.bias')).toEqual([0.25, -1]);
  expect(await numbers(merged, 'embed_tokens.weight')).toEqual([9, 10, 3, 4, 7, 8]);
});

test.each<[Partial<LoraAdapter>, object, RegExp]>([
  [
    { whole: new Map([['norm.weight', whole([3], [1, 2, 3])]]) },
    { modulesToSave: ['norm'] },
    /BF16 \[2\] for norm\.weight, saved whole/,
  ],
  [
    { whole: new Map([['head.weight', whole([2], [1, 2])]]) },
    { modulesToSave: ['head'] },
    /head\.weight, which the model does not have/,
  ],
  [
    { tokens: new Map([['embed_tokens', { rows: Float32Array.of(1, 2), width: 2 }]]) },
    { trainableTokenIndices: [3] },
    /more than 3 rows of 2/,
  ],
  [
    { tokens: new Map([['wte', { rows: Float32Array.of(1, 2), width: 2 }]]) },
    { trainableTokenIndices: [0] },
    /wte\.weight, which the model does not have/,
  ],
])('what does not fit is refused: %#', (given, config, words) =>
  expect(() => mergedTensors(checkpoint, adapter(given, config))).toThrow(words),
);

test('numbers that are not finite are refused', async () => {
  const broken = [
    mergedTensors(
      checkpoint,
      adapter({ whole: new Map([['norm.weight', whole([2], [1, NaN])]]) }, { modulesToSave: ['norm'] }),
    ),
    mergedTensors(
      checkpoint,
      adapter(
        { tokens: new Map([['embed_tokens', { rows: Float32Array.of(1, Infinity), width: 2 }]]) },
        { trainableTokenIndices: [0] },
      ),
    ),
  ];
  await expect(broken[0]?.[1]?.read()).rejects.toThrow(/norm\.weight: expected finite numbers/);
  await expect(broken[1]?.[0]?.read()).rejects.toThrow(/embed_tokens\.weight: expected finite numbers/);
});
