import { expect, test } from 'vitest';
import { safeName } from './safeName.js';

const what = 'a name';

test('plain names pass unchanged', () => {
  for (const name of ['model.safetensors', 'model-00001-of-00002.safetensors', 'a', '0'.repeat(200), 'a_b.c-d'])
    expect(safeName(name, { what })).toBe(name);
  expect(safeName('0123456789abcdef'.repeat(4), { what, pattern: /^[0-9a-f]{40,64}$/ })).toHaveLength(64);
});

test('whatever could leave a folder, hide, or be no file is refused', () => {
  const bad = ['', '.', '..', '../x', 'a/b', 'a\\b', '/etc', '.bashrc', 'x.', 'a\0b', 'C:x', 'nul', 'COM1.txt', 'é'];
  for (const name of [...bad, '0'.repeat(201), '%2e%2e', undefined, null, 7])
    expect(() => safeName(name, { what })).toThrow(expect.objectContaining({ code: 'files.unsafeName' }) as Error);
  expect(() => safeName('xyz', { what, pattern: /^[0-9a-f]{40}$/ })).toThrow(/a name: expected/);
});
