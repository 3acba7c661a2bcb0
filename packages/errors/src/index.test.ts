import { expect, test } from 'vitest';
import { isDeviceLost, isLowrankError, isOutOfMemory, LowrankError, nodeAbsent } from './index.js';

test('the message says what, expected, got and the remedy', () => {
  const error = new LowrankError({ code: 'x.y', what: 'rank', expected: 'at least 1', got: '0', remedy: 'Raise it.' });
  expect(error.message).toBe('rank: expected at least 1, got 0. Raise it.');
  expect(error.code).toBe('x.y');
  expect(isLowrankError(error)).toBe(true);
});

test('what is not known is left out', () => {
  expect(new LowrankError({ code: 'x', what: 'the device is lost' }).message).toBe('the device is lost');
  expect(new LowrankError({ code: 'x', what: 'a', got: 'b' }).message).toBe('a: got b');
});

test('a cause is kept, and other errors are not Lowrank’s', () => {
  const cause = new Error('below');
  expect(new LowrankError({ code: 'x', what: 'above', cause }).cause).toBe(cause);
  expect(isLowrankError(cause)).toBe(false);
});

test('settings have other names on other faces', () => {
  const error = new LowrankError({
    code: 'x.conflict',
    what: (name) => `${name('useDora')} with ${name('method', 'full')}`,
    expected: 'one of the two',
    remedy: (name) => `Leave ${name('useDora')} out.`,
    setting: 'useDora',
  });
  expect(error.message).toBe("useDora with method 'full': expected one of the two. Leave useDora out.");
  expect(error.what).toBe("useDora with method 'full'");
  expect(error.messageWith((name, value = '') => `--${name} ${value}`.trim())).toBe(
    '--useDora with --method full: expected one of the two. Leave --useDora out.',
  );
});

test('a lost GPU and a lost thread are both a lost device', () => {
  for (const code of ['webgpu.device-lost', 'cpu.threadLost'])
    expect(isDeviceLost(new LowrankError({ code, what: 'x' }))).toBe(true);
  const tooLarge = new LowrankError({ code: 'cpu.outOfMemory', what: 'x' });
  expect([isDeviceLost(tooLarge), isOutOfMemory(tooLarge)]).toEqual([false, true]);
  expect(isDeviceLost(new Error('cpu.threadLost'))).toBe(false);
});

test('Node’s modules where there are none: what was asked for, and what to give instead', async () => {
  await expect(nodeAbsent('node:fs/promises')).rejects.toMatchObject({
    code: 'node.absent',
    what: 'what needs node:fs/promises',
  });
});
