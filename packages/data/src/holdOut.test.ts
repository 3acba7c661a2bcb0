import { describe, expect, it } from 'vitest';
import { holdOut } from './holdOut.js';

const rows = Array.from({ length: 40 }, (_, at) => ({ line: at + 1, prompt: `prompt ${at % 8}`, completion: `${at}` }));
const prompts = (part: 'held' | 'rest', seed = 0): Set<string> =>
  new Set(holdOut(rows, { rows: 7, seed, part }).map((row) => ('completion' in row ? row.prompt : '')));

describe('holdOut', () => {
  it('takes whole prompts, and gives every row to one side', () => {
    const [held, rest] = [
      holdOut(rows, { rows: 7, seed: 0, part: 'held' }),
      holdOut(rows, { rows: 7, seed: 0, part: 'rest' }),
    ];
    expect(held).toHaveLength(10);
    expect([...held, ...rest].map(({ line }) => line).sort((a, b) => a - b)).toEqual(rows.map(({ line }) => line));
    expect(rest.map(({ line }) => line)).toEqual(rest.map(({ line }) => line).sort((a, b) => a - b));
    expect([...prompts('held')].filter((prompt) => prompts('rest').has(prompt))).toEqual([]);
    expect(new Set([0, 1, 2, 3].map((seed) => [...prompts('held', seed)].join())).size).toBeGreaterThan(1);
  });

  it('leaves no side empty', () => {
    expect(() => holdOut(rows, { rows: 36, seed: 0, part: 'rest' }, 'rows.jsonl')).toThrow(
      /36 rows held out of rows\.jsonl.*40 rows of 8 prompts/s,
    );
    expect(() => holdOut(rows, { rows: 0, seed: 0, part: 'held' })).toThrow(/at least one/);
  });
});
