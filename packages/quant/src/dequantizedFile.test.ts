import { fileURLToPath } from 'node:url';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import { fromBf16, fromF16 } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { dequantizedFile } from './dequantizedFile.js';
import { dequantize } from './dequantize.js';
import { findQuantized, readQuantized } from './storedQuantized.js';

const open = (path: string): ReturnType<typeof openSafetensors> =>
  openSafetensors(
    fileSource(fileURLToPath(new URL(`../../../parity/golden/${path}/model.safetensors`, import.meta.url))),
  );

test.each(['nf4', 'nf4Double', 'fp4', 'int8'])(
  '%s: dense tensors under the names of the codes, in the dtype that they had',
  async (kind) => {
    const file = await open(`quant/models/${kind}`);
    const found = await findQuantized(file);
    const dense = await dequantizedFile(file);
    expect([...dense.tensors.keys()]).toEqual(
      [...file.tensors.keys()].filter(
        (name) => !/\.(absmax|quant_map|nested_|SCB|weight_format|quant_state)/.test(name),
      ),
    );
    for (const [name, stored] of found) {
      const info = dense.tensors.get(name);
      const bytes = await dense.read(name);
      expect(info?.shape).toEqual(stored.shape);
      expect(bytes.byteLength).toBe(info?.byteLength);
      const exact = dequantize(await readQuantized(file, stored)) as Float32Array;
      const { buffer } = new Uint8Array(bytes);
      const values =
        info?.dtype === 'F32'
          ? new Float32Array(buffer)
          : Float32Array.from(new Uint16Array(buffer), info?.dtype === 'F16' ? fromF16 : fromBf16);
      values.forEach((value, at) =>
        expect(Math.abs(value - (exact[at] ?? NaN))).toBeLessThanOrEqual(2 ** -8 * Math.abs(exact[at] ?? NaN) + 1e-7),
      );
      expect(await dense.readRange(name, 4, 12)).toEqual(bytes.subarray(4, 12));
    }
  },
);

test('a dense file is what it was', async () => {
  const file = await open('llama/tied');
  expect(await dequantizedFile(file)).toBe(file);
});
