import { expect, test } from 'vitest';
import { TransferMeter } from './progress.js';

test('a rate over next to no time is none', () => {
  let time = 0;
  const meter = new TransferMeter({ totalBytes: 1e9, now: () => time });
  time = 1;
  expect(meter.add('a', 759_318_000)).toMatchObject({ bytesPerSecond: 0, secondsLeft: undefined });
  time = 1000;
  expect(meter.add('a', 40_682_000)).toMatchObject({ bytesPerSecond: 8e8, secondsLeft: 0.25 });
});

test('rate and time left follow the last seconds, and leave out what was there before', () => {
  let time = 0;
  const meter = new TransferMeter({ totalBytes: 10_000, bytes: 4000, now: () => time });
  expect(meter.add('a', 0)).toEqual({
    item: 'a',
    bytes: 4000,
    totalBytes: 10_000,
    bytesPerSecond: 0,
    secondsLeft: undefined,
  });
  time = 1000;
  expect(meter.add('a', 1000)).toMatchObject({ bytes: 5000, bytesPerSecond: 1000, secondsLeft: 5 });
  for (time = 2000; time <= 12_000; time += 1000) meter.add('b', 100);
  const slow = meter.add('b', 0);
  expect(slow.bytesPerSecond).toBeGreaterThan(80);
  expect(slow.bytesPerSecond).toBeLessThan(120);
  expect(meter.add('b', 10_000 - slow.bytes)).toMatchObject({ bytes: 10_000, secondsLeft: 0 });
});
