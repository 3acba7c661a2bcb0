import { expect, it } from 'vitest';
import { chatTemplate } from './chatTemplate.js';
import { parseJsonWithFloats } from './jsonFloats.js';

it('reads what JSON.parse reads', () => {
  const text = ' {"a": [1.5, -2, "x\\"1.0\\u00e9", {}, [], true, null, "\\\\"], "1.0": {"b": 12e-1}} ';
  expect(parseJsonWithFloats(text)).toEqual(JSON.parse(text));
});

it('keeps floats that are whole, for templates to write', () => {
  const row = parseJsonWithFloats('{"role": "user", "a": [1.0, 1, 1e3, -0.0, 1e-7, 2.50]}') as { role: string };
  const text = chatTemplate('{{ messages[0].a }} {{ messages[0].a | tojson }}').render([row]).text;
  expect(text).toBe('[1.0, 1, 1000.0, -0.0, 1e-07, 2.5] [1.0, 1, 1000.0, -0.0, 1e-07, 2.5]');
});

it('JSON that lies very deep is read without floats, and templates refuse it', () => {
  const deep = `{"role": "user", "x": ${'['.repeat(100_000)}1.0${']'.repeat(100_000)}}`;
  const row = parseJsonWithFloats(deep) as { role: string };
  expect(() => chatTemplate('{{ messages[0].x }}').render([row])).toThrow(/^the chat template: expected a chat/);
});
