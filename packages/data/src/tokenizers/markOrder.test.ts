import { expect, it } from 'vitest';
import { philox2x32 } from '../random.js';
import { normalizeText } from './markOrder.js';

const forms = ['NFC', 'NFD', 'NFKC', 'NFKD'] as const;
const marks = Array.from({ length: 0x20000 }, (_, code) => String.fromCodePoint(code)).filter((each) =>
  /^[\p{M}\uff9e\uff9f]$/u.test(each),
);

it('is what the engine makes of the same text, whatever marks stand behind one another', () => {
  let drawn = 0;
  const below = (count: number): number => philox2x32(7, [drawn++, 0])[0] % count;
  for (let text = 0; text < 150; text++) {
    const pool = text % 2 === 0 ? marks : marks.slice(0, 112);
    let written = '';
    for (let run = 0; run < 4; run++) {
      written += ['a', 'é', '가', 'ｶ', ''][below(5)] ?? '';
      for (let count = below(90); count > 0; count--) written += pool[below(pool.length)] ?? '';
    }
    for (const form of forms) expect(normalizeText(written, form)).toBe(written.normalize(form));
  }
});

it('takes time by the length of a run, in which the engine sorts by insertion', () => {
  const begin = process.cpuUsage();
  for (const run of ['\u0301\u0316', '\u0344\u0316']) expect(normalizeText(run.repeat(100_000), 'NFC')).not.toBe('');
  expect(process.cpuUsage(begin).user / 1000).toBeLessThan(2000);
});
