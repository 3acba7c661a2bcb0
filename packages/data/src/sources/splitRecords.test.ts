import { describe, expect, it } from 'vitest';
import type { FileFormat } from './splitRecords.js';
import { RecordSplitter } from './splitRecords.js';

const encoder = new TextEncoder();
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function split(text: string, format: FileFormat, size = 1 << 20): { text: string; start: number; line: number }[] {
  const splitter = new RecordSplitter(format);
  const bytes = encoder.encode(text);
  const found = [];
  for (let at = 0; at < bytes.length; at += size) found.push(...splitter.push(bytes.subarray(at, at + size)));
  found.push(...splitter.end());
  return found.map((record) => ({ ...record, bytes: undefined, text: decode(record.bytes) }));
}

const cases: [FileFormat['format'], string, [string, number][]][] = [
  [
    'jsonl',
    '\ufeff{"a":1}\r\n\n  \n {"b":"é\\n"}\t\n{}',
    [
      ['{"a":1}', 1],
      ['{"b":"é\\n"}', 4],
      ['{}', 5],
    ],
  ],
  [
    'json',
    ' [ {"a":"],[\\"}"} ,\n[1,2], 3,"x,y" , {}\n]\n',
    [
      ['{"a":"],[\\"}"}', 1],
      ['[1,2]', 2],
      ['3', 3],
      ['"x,y"', 4],
      ['{}', 5],
    ],
  ],
  ['json', '[]', []],
  [
    'json',
    '[1] oops',
    [
      ['1', 1],
      ['] oops', 2],
    ],
  ],
  [
    'csv',
    'a,b\n"x\n\n""y""",5" z\r\n\n1,"2"',
    [
      ['a,b', 1],
      ['"x\n\n""y""",5" z', 2],
      ['1,"2"', 6],
    ],
  ],
  [
    'line',
    ' a\r\n\n\tb \nc',
    [
      [' a', 1],
      ['\tb ', 3],
      ['c', 4],
    ],
  ],
  [
    'paragraph',
    'a\nb\n\nc\r\n\r\n\n\nd\n',
    [
      ['a\nb', 1],
      ['c', 4],
      ['d\n', 8],
    ],
  ],
  ['document', 'a\n\nb\n', [['a\n\nb\n', 1]]],
];

describe.each(cases)('%s %j', (format, text, wanted) => {
  it('falls into records, however it comes', () => {
    for (const size of [1, 2, 3, 7, 1000]) {
      const found = split(text, { format }, size);
      expect(found.map((record) => [record.text, record.line])).toEqual(wanted);
    }
  });

  it('is read on from where a record begins', () => {
    const bytes = encoder.encode(text);
    const records = split(text, { format });
    for (const [at, record] of records.entries()) {
      const splitter = new RecordSplitter({ format }, { at: record.start, line: record.line });
      const rest = [...splitter.push(bytes.subarray(record.start)), ...splitter.end()];
      expect(rest.map(({ bytes: one, start, line }) => [decode(one), start, line])).toEqual(
        records.slice(at).map(({ text: one, start, line }) => [one, start, line]),
      );
    }
  });
});

it('says where a file breaks off', () => {
  const unfinished = (format: FileFormat['format'], text: string): boolean => {
    const splitter = new RecordSplitter({ format });
    splitter.push(encoder.encode(text));
    splitter.end();
    return splitter.unfinished;
  };
  expect([unfinished('json', '[{"a":1},'), unfinished('json', '[{"a":1}]')]).toEqual([true, false]);
  expect([unfinished('csv', 'a\n"b'), unfinished('csv', 'a\n"b"')]).toEqual([true, false]);
});

it('takes time by the length of a record, in however many pieces it comes', () => {
  const splitter = new RecordSplitter({ format: 'json' });
  const piece = encoder.encode('x'.repeat(1000));
  const start = performance.now();
  splitter.push(encoder.encode('["'));
  for (let at = 0; at < 20_000; at++) splitter.push(piece);
  const [long] = splitter.push(encoder.encode('"]'));
  expect(long?.bytes.length).toBe(20_000_002);
  expect(performance.now() - start).toBeLessThan(3000);
});
