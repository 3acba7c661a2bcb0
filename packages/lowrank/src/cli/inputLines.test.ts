import { Readable } from 'node:stream';
import { afterEach, expect, test } from 'vitest';
import { inputLines } from './inputLines.js';

const own = Object.getOwnPropertyDescriptor(process, 'stdin');
afterEach(() => void (own === undefined ? undefined : Object.defineProperty(process, 'stdin', own)));

test('lines of a pipe, however they arrive and however slowly they are taken; no prompt is shown', async () => {
  Object.defineProperty(process, 'stdin', {
    value: Readable.from([Buffer.from('one\n\nt'), Buffer.from('wo\r\nthr'), Buffer.from('ee')]),
    configurable: true,
  });
  const lines: string[] = [];
  for await (const line of inputLines('> ')) {
    lines.push(line);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(lines).toEqual(['one', '', 'two', 'three']);
});

test('whoever stops reading ends the input', async () => {
  const input = Readable.from([Buffer.from('one\ntwo\n')]);
  Object.defineProperty(process, 'stdin', { value: input, configurable: true });
  for await (const line of inputLines('> ')) {
    expect(line).toBe('one');
    break;
  }
});
