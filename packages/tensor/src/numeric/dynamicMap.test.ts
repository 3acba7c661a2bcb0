import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { dynamicMap } from './dynamicMap.js';

const golden = JSON.parse(
  readFileSync(new URL('../../../../parity/golden/dynamicMap.json', import.meta.url), 'utf8'),
) as Record<'signed' | 'unsigned', number[]>;

test.each([
  ['signed', true],
  ['unsigned', false],
] as const)('the %s map is bitsandbytes’, bit for bit', (name, signed) => {
  const map = dynamicMap(signed);
  expect([...new Uint32Array(map.buffer)]).toEqual(golden[name]);
  expect(dynamicMap(signed)).toBe(map);
});
