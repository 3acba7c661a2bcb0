import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { SafetensorsFile } from '@lowrank/safetensors';
import { fileSource, openSafetensors } from '@lowrank/safetensors';

/** What bitsandbytes and transformers made (parity/quant.py). */
export const goldenRoot = fileURLToPath(new URL('../../../parity/golden/quant/', import.meta.url));

export function goldenFile(name: string): Promise<SafetensorsFile> {
  return openSafetensors(fileSource(`${goldenRoot}${name}`));
}

export async function goldenJson<Value>(name: string): Promise<Value> {
  return JSON.parse(await readFile(`${goldenRoot}${name}`, 'utf8')) as Value;
}

/** sha256 of the bytes of arrays, one after the other. */
export function digest(...arrays: readonly ArrayBufferView[]): string {
  const hash = createHash('sha256');
  for (const array of arrays) hash.update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  return hash.digest('hex');
}

/** A tensor of a file in memory of its own. */
export async function bytesOf(file: SafetensorsFile, name: string): Promise<ArrayBuffer> {
  return new Uint8Array(await file.read(name)).buffer;
}
