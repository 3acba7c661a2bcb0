import { expect, test } from 'vitest';
import { fromFragment, toFragment } from './link';
import { defaults, readSettings, wrongNumber } from './settings';

test('a link carries what differs from the defaults, and reads as it was written', () => {
  const settings = { ...defaults, rank: 4, prompt: 'ein Satz & mehr', model: { kind: 'hub' as const, id: 'a/b' } };
  const fragment = toFragment({ settings, example: 'records' });
  expect(fragment).not.toContain('learningRate');
  expect(fromFragment(fragment)).toEqual({ settings, example: 'records' });
});

test('files of a device are in no link, and neither are other fragments', () => {
  const settings = { ...defaults, model: { kind: 'files' as const, name: 'secret' } };
  expect(toFragment({ settings, example: undefined })).not.toContain('secret');
  expect(fromFragment('#a-heading')).toBeUndefined();
  expect(fromFragment('#settings=%7Bbroken')).toBeUndefined();
});

test('settings from outside fall back where they make no sense', () => {
  const read = readSettings({ rank: -1, steps: 1.5, seed: 3, device: 'tpu', model: { kind: 'hub' }, prompt: 7 });
  expect(read).toEqual({ ...defaults, seed: 3 });
  expect(readSettings('no object')).toEqual(defaults);
  expect(wrongNumber('rank', '')).toMatch(/missing/);
  expect(wrongNumber('rank', 0)).toBe('From 1 to 1024.');
  expect(wrongNumber('steps', 2.5)).toMatch(/whole/);
  expect(wrongNumber('learningRate', 0.1)).toBeUndefined();
});
