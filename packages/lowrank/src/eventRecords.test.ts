import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { crc32c, eventRecord } from './eventRecords.js';

const golden = JSON.parse(
  readFileSync(new URL('../../../parity/golden/tensorBoard.json', import.meta.url), 'utf8'),
) as { readonly version: string; readonly start: string; readonly scalars: string; readonly far: string };

const hex = (record: Uint8Array): string => Buffer.from(record).toString('hex');

test("checksums are RFC 3720's", () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
});

test('records are those that TensorBoard itself writes', () => {
  const wallTime = 1.5e9 + 0.25;
  const scalars = { 'train/loss': 1.5, 'eval/loss': -0.1, 'train/Größe': 3 };
  expect(hex(eventRecord({ kind: 'version' }, { wallTime, step: 0 }))).toBe(golden.version);
  expect(hex(eventRecord({ kind: 'start' }, { wallTime, step: 7 }))).toBe(golden.start);
  expect(hex(eventRecord({ kind: 'scalars', scalars }, { wallTime, step: 300 }))).toBe(golden.scalars);
  expect(hex(eventRecord({ kind: 'scalars', scalars: { a: NaN } }, { wallTime, step: 2 ** 40 }))).toBe(golden.far);
});
