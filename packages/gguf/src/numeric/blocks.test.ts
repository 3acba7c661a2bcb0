import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import type { BlockType } from '../reading/tensorTypes.js';
import { dequantizeCodes, unpackBlocks } from './blocks.js';

const golden = new URL('../../../../parity/golden/ggufBases/blocks.json', import.meta.url);
type Cases = Record<BlockType, { blocks: string; first: number[]; sha256: string }>;
const cases = JSON.parse(await readFile(golden, 'utf8')) as Cases;

test.each(Object.entries(cases))("%s: random blocks become gguf-py's numbers, bit for bit", (name, each) => {
  const bytes = Buffer.from(each.blocks, 'base64');
  const values = dequantizeCodes(unpackBlocks(name as BlockType, bytes));
  expect(Array.from(values.subarray(0, 8))).toEqual(each.first);
  expect(createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex')).toBe(each.sha256);
});
