import { expect, it } from 'vitest';
import { strftime } from './chatDate.js';

it.each([
  [new Date(2024, 6, 26, 9, 5, 3), '%d %b %Y, %A %H:%M:%S', '26 Jul 2024, Friday 09:05:03'],
  [new Date(2023, 11, 31, 0, 59, 0, 7), '%a %B %y %I %p %j %w %f %%', 'Sun December 23 12 AM 365 0 007000 %'],
  [new Date(2024, 1, 29, 13, 0), '%I%p %F %T day %j', '01PM 2024-02-29 13:00:00 day 060'],
  [new Date(2024, 0, 1), '%Q %', '%Q %'],
])('%s as %s', (date, format, text) => {
  expect(strftime(date, format)).toBe(text);
});
