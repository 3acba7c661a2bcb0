import { strToU8, zipSync } from 'fflate';
import { expect, test } from 'vitest';
import { adapterFilesFrom, fileName, zipOf } from './archive';

const files = { 'adapter_config.json': strToU8('{"r": 4}'), 'adapter_model.safetensors': new Uint8Array([1, 2, 3]) };
const asFile = (bytes: Uint8Array, name: string): File => new File([new Uint8Array(bytes)], name);

test('a zip of an adapter gives its files back, also from a folder within, and leaves other files out', async () => {
  const zip = await zipOf(files);
  expect(await adapterFilesFrom([asFile(zip, 'a.zip')])).toEqual(files);
  const nested = zipSync({ run: { ...files, 'optimizer.safetensors': new Uint8Array(9) } });
  expect(await adapterFilesFrom([asFile(nested, 'b.zip')])).toEqual(files);
});

test('loose files are an adapter too; half of one, and half a zip, are told in a sentence', async () => {
  const loose = Object.entries(files).map(([name, bytes]) => asFile(bytes, name));
  expect(await adapterFilesFrom(loose)).toEqual(files);
  await expect(adapterFilesFrom(loose.slice(0, 1))).rejects.toThrow(/adapter_model.safetensors is missing/);
  const zip = await zipOf(files);
  await expect(adapterFilesFrom([asFile(zip.slice(0, 60), 'c.zip')])).rejects.toThrow(/c\.zip is no whole ZIP file/);
});

test('names become names of files', () => {
  expect(fileName('Run 1, 40 steps')).toBe('Run-1-40-steps');
  expect(fileName('../.. / ')).toBe('adapter');
});
