import { expect, test } from 'vitest';
import { describeTuned } from './describeTuned.js';

test('says what measuring came to, and what there was no time for', () => {
  const event = { classes: 23, measured: 23, faster: 7, seconds: 1.94 };
  expect(describeTuned(event)).toBe(
    'tuned in 1.9 s: 7 of 23 shapes of products run faster than by the table (kept; --no-tune: by the table)',
  );
  expect(describeTuned({ ...event, measured: 20 })).toContain('the table, 3 stay with the table, as time was up (');
});
