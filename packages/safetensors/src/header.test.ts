import { describe, expect, it } from 'vitest';
import { bytesSource } from './byteSource.js';
import { openSafetensors } from './open.js';
import { complaint, fileOf } from './testing.js';

const f32 = (shape: unknown, offsets: unknown): Record<string, unknown> => ({
  dtype: 'F32',
  shape,
  data_offsets: offsets,
});

function refused(file: Uint8Array): Promise<{ code: string; message: string }> {
  return complaint(openSafetensors(bytesSource(file, 'model.safetensors')));
}

describe('headers that are refused', () => {
  it('a file too short to hold a length', async () => {
    for (const length of [0, 1, 7]) expect((await refused(new Uint8Array(length))).code).toBe('safetensors.tooShort');
  });

  it('a header length beyond the file', async () => {
    const file = fileOf({}, 0);
    new DataView(file.buffer).setBigUint64(0, BigInt(file.length - 7), true);
    const { code, message } = await refused(file);
    expect(code).toBe('safetensors.headerBeyondFile');
    expect(message).toMatch(/^model\.safetensors: header length: expected at most the 8 bytes that follow, got 9\. /);
  });

  it('a header over 100 MB, by its length alone', async () => {
    for (const length of [100_000_001n, 2n ** 53n, 2n ** 64n - 1n]) {
      const first = new Uint8Array(8);
      new DataView(first.buffer).setBigUint64(0, length, true);
      let read = 0;
      const source = {
        name: 'huge',
        size: () => Promise.resolve(2 ** 50),
        read: (start: number, end: number) => {
          read += end - start;
          return Promise.resolve(first.subarray(start, end));
        },
      };
      expect((await complaint(openSafetensors(source))).code).toBe('safetensors.headerTooLarge');
      expect(read).toBe(8);
    }
  });

  it.each([
    ['headerJson', ''],
    ['headerJson', '{"a":'],
    ['headerJson', '{} x'],
    ['headerJson', '\ufeff{}'],
    ['headerJson', '['.repeat(100_000)],
    ['headerEncoding', '{"\\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'],
    ['headerEncoding', '{"__metadata__":{"a":"\\udfff"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'],
    ['headerObject', '[]'],
    ['headerObject', 'null'],
    ['headerObject', '7'],
    ['headerObject', '"{}"'],
    ['metadata', { __metadata__: 3 }],
    ['metadata', { __metadata__: { a: 1 } }],
    ['metadata', { __metadata__: ['a'] }],
    ['tensorInfo', { a: null }],
    ['tensorInfo', { a: [] }],
    ['dtype', { a: { shape: [], data_offsets: [0, 4] } }],
    ['dtype', { a: { dtype: 'f32', shape: [], data_offsets: [0, 4] } }],
    ['dtype', { a: { dtype: 'toString', shape: [], data_offsets: [0, 4] } }],
    ['dtype', { a: { dtype: ['F32'], shape: [], data_offsets: [0, 4] } }],
    ['shape', { a: { dtype: 'F32', data_offsets: [0, 4] } }],
    ['shape', { a: f32('1', [0, 4]) }],
    ['shape', { a: f32([-1], [0, 4]) }],
    ['shape', { a: f32([0.5], [0, 2]) }],
    ['shape', { a: f32(['1'], [0, 4]) }],
    ['shape', { a: f32([null], [0, 4]) }],
    ['shape', { a: f32([[1]], [0, 4]) }],
    ['shape', '{"a":{"dtype":"F32","shape":[1e400],"data_offsets":[0,4]}}'],
    ['shape', '{"a":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4]}}'],
    ['shapeOverflow', { a: f32([2 ** 40, 2 ** 40], [0, 4]) }],
    ['shapeOverflow', { a: f32([2 ** 52], [0, 4]) }],
    ['offsets', { a: { dtype: 'F32', shape: [1] } }],
    ['offsets', { a: f32([1], [0]) }],
    ['offsets', { a: f32([1], [0, 4, 8]) }],
    ['offsets', { a: f32([1], [4, 0]) }],
    ['offsets', { a: f32([1], [-4, 0]) }],
    ['offsets', { a: f32([1], [0.5, 4.5]) }],
    ['offsets', { a: f32([1], ['0', '4']) }],
    ['offsets', { a: f32([1], { 0: 0, 1: 4, length: 2 }) }],
    ['offsets', '{"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551615,18446744073709551619]}}'],
    ['byteCount', { a: f32([2], [0, 4]) }],
    ['byteCount', { a: f32([], [0, 0]) }],
    ['byteCount', { a: f32([0], [0, 4]) }],
    ['truncated', { a: f32([2], [0, 8]) }],
    ['truncated', { a: f32([1], [2 ** 52, 2 ** 52 + 4]) }],
    ['trailingBytes', {}],
    ['trailingBytes', { a: f32([0], [0, 0]) }],
    ['overlap', { a: f32([1], [0, 4]), b: f32([1], [0, 4]) }],
    [
      'overlap',
      { a: { dtype: 'U8', shape: [4], data_offsets: [0, 4] }, b: { dtype: 'U8', shape: [2], data_offsets: [2, 4] } },
    ],
    ['hole', { a: { dtype: 'U8', shape: [2], data_offsets: [2, 4] } }],
    [
      'hole',
      { a: { dtype: 'U8', shape: [1], data_offsets: [0, 1] }, b: { dtype: 'U8', shape: [2], data_offsets: [2, 4] } },
    ],
    [
      'duplicateName',
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    ],
    ['duplicateName', '{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}'],
    ['duplicateName', '{"__metadata__":{"k":"1","k":"2"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'],
  ])('%s: %j', async (code, header) => {
    const result = await refused(fileOf(header, 4));
    expect(result.code).toBe(`safetensors.${code}`);
    expect(result.message).toContain('model.safetensors');
    expect(result.message.length).toBeLessThan(600);
  });

  it('text that is no UTF-8', async () => {
    const file = fileOf('{"a":1}');
    file[10] = 0xff;
    expect((await refused(file)).code).toBe('safetensors.headerEncoding');
  });

  it('a file cut off anywhere', async () => {
    const whole = fileOf({ a: f32([2, 3], [0, 24]), b: { dtype: 'BOOL', shape: [3], data_offsets: [24, 27] } }, 27);
    await expect(openSafetensors(bytesSource(whole))).resolves.toBeDefined();
    for (let length = 0; length < whole.length; length++) {
      expect((await refused(whole.slice(0, length))).code).toMatch(/tooShort|headerBeyondFile|truncated/);
    }
  });

  it('escapes control characters and shortens long names in its messages', async () => {
    const { message } = await refused(fileOf({ [`\u001b[2J${'x'.repeat(5000)}`]: 1 }));
    expect(message).not.toContain('\u001b');
    expect(message.length).toBeLessThan(400);
  });
});

describe('headers that are right though unusual', () => {
  it('tensors in any order, empty ones between, unknown keys, __proto__ as a name', async () => {
    const header = `{"z":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},
      "__proto__":{"dtype":"I8","shape":[-0,5],"data_offsets":[2,2],"extra":[1.5]},
      "a":{"data_offsets":[2,4],"shape":[1,1,1],"dtype":"BF16"},"__metadata__":{"__proto__":"x"}}`;
    const file = await openSafetensors(bytesSource(fileOf(header, 4)));
    expect([...file.tensors.keys()]).toEqual(['z', '__proto__', 'a']);
    expect(file.tensors.get('__proto__')?.shape).toEqual([0, 5]);
    expect(Object.keys(file.metadata)).toEqual(['__proto__']);
    expect(await file.read('__proto__')).toHaveLength(0);
    expect([...(await file.read('a'))]).toEqual([74, 111]);
  });

  it('a header without padding', async () => {
    const file = await openSafetensors(
      bytesSource(fileOf({ a: { dtype: 'U8', shape: [1], data_offsets: [0, 1] } }, 1, { pad: false })),
    );
    expect(file.tensors.get('a')?.byteOffset).toBe(8 + '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'.length);
  });
});
