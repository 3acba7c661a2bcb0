import { expect, it } from 'vitest';
import { complaint } from '../testing.js';
import { readPattern, regexFinder } from './patterns.js';

const find = (source: string, text: string) => readPattern({ pattern: { Regex: source } }, 'pre_tokenizer')(text);

it.each(['\\s+(?!\\S)|\\s+', 'a*(?=b)|c', '\\s*[\\r\\n]+|x?', '🙂*(?=a)', '(?:ab)+c|a*b'])(
  'finds what the engine finds where it watches: %s',
  (source) => {
    for (const text of ['', 'a', '  a  b ', 'aab c\n\n x', '🙂🙂a🙂', 'ababab abc aab'])
      expect(find(source, text)).toEqual(regexFinder(new RegExp(source, 'vg'))(text));
  },
);

it('an expression that looks through the whole text from each of its places is stopped, by name', async () => {
  const begin = process.cpuUsage();
  const { code, message } = await complaint(() => find('a*b', 'a'.repeat(500_000)));
  expect(code).toBe('data.tokenizer');
  expect(message).toMatch(/the regular expression "a\*b" in pre_tokenizer: .*500000 characters/);
  expect(process.cpuUsage(begin).user / 1000).toBeLessThan(4000);
  expect(find('a*b', 'a'.repeat(2000))).toEqual([]);
});
