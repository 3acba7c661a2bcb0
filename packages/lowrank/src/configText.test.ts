import { expect, test } from 'vitest';
import { configText } from './configText.js';

test('a number that had a point keeps it, and no other gets one', () => {
  const origin = '{"a": 1.0, "b": {"c": -2.00,\n"d": 3}, "e": 1e0, "f": "4.0", "g": 5.0}';
  const config = { ...(JSON.parse(origin) as object), g: 6, h: 1 };
  expect(configText(config, origin)).toBe(
    [
      '{',
      '  "a": 1.0,',
      '  "b": {',
      '    "c": -2.0,',
      '    "d": 3',
      '  },',
      '  "e": 1,',
      '  "f": "4.0",',
      '  "g": 6,',
      '  "h": 1',
      '}\n',
    ].join('\n'),
  );
});
