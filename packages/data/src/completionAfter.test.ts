import { describe, expect, it } from 'vitest';
import { splitAfter } from './completionAfter.js';

describe('splitAfter', () => {
  it('cuts behind the last occurrence; the space goes to the completion', () => {
    const [row] = splitAfter([{ line: 3, text: 'Q: what is A: here\nA: SELECT x' }], { marker: 'A: ' });
    expect(row).toEqual({ line: 3, prompt: 'Q: what is A: here\nA:', completion: ' SELECT x' });
  });

  it('leaves a line break with the prompt, and other rows alone', () => {
    const rows = [
      { line: 1, text: 'Say it.\n### Response:\nit' },
      { line: 2, prompt: 'a', completion: 'b' },
      { line: 3, messages: [{ role: 'user', content: 'hi' }] },
    ];
    expect(splitAfter(rows, { marker: 'Response:\n' })).toEqual([
      { line: 1, prompt: 'Say it.\n### Response:\n', completion: 'it' },
      rows[1],
      rows[2],
    ]);
  });

  it('names the lines without the marker', () => {
    const rows = [
      { line: 1, text: 'a A: b' },
      { line: 2, text: 'none' },
      { line: 5, text: 'nor here' },
    ];
    expect(() => splitAfter(rows, { marker: 'A: ', name: 'rows.jsonl' })).toThrow(
      /rows\.jsonl, line 2.*"A: ".*2 rows are without it; the others: 5/s,
    );
    expect(() => splitAfter(rows, { marker: '' })).toThrow(/at least one character/);
  });
});
