import { expect } from 'vitest';
import { isLowrankError } from '@lowrank/errors';

/** A file of any header text and any data, valid or not. */
export function fileOf(header: unknown, data = 0, options: { pad?: boolean } = {}): Uint8Array {
  const json = typeof header === 'string' ? header : JSON.stringify(header);
  let text = new TextEncoder().encode(json);
  if (options.pad ?? true) {
    const padded = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(0x20);
    padded.set(text);
    text = padded;
  }
  const file = new Uint8Array(8 + text.length + data);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  for (let i = 0; i < data; i++) file[8 + text.length + i] = (i * 37) & 0xff;
  return file;
}

/** The code and the sentence of the LowrankError that a promise ends with; anything else fails the test. */
export async function complaint(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isLowrankError(error)) return expect.fail(`expected a LowrankError, got ${String(error)}`);
  return { code: error.code, message: error.message };
}
