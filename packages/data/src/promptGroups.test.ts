import { describe, expect, it } from 'vitest';
import { groupByPrompt, samplePrompts } from './promptGroups.js';

const rows = Array.from({ length: 30 }, (_, at) => ({
  line: at + 1,
  prompt: `prompt ${at % 10}`,
  completion: `${at}`,
}));

describe('groupByPrompt', () => {
  it('gathers the rows of a prompt where its first stood', () => {
    const groups = groupByPrompt(rows);
    expect(groups.map((group) => group.map(({ line }) => line)).slice(0, 2)).toEqual([
      [1, 11, 21],
      [2, 12, 22],
    ]);
    expect(groups).toHaveLength(10);
  });

  it('knows a prompt of messages by what the row says it is', () => {
    const said = (role: string, content: string) => ({ role, content });
    const row = (line: number, ...rest: { role: string; content: string }[]) => ({
      line,
      messages: [said('user', 'hi'), ...rest],
      promptMessages: 1,
    });
    const groups = groupByPrompt([
      row(1, said('assistant', 'a'), said('user', 'b'), said('assistant', 'c')),
      row(2, said('assistant', 'd')),
    ]);
    expect(groups.map((group) => group.map(({ line }) => line))).toEqual([[1, 2]]);
  });

  it('knows chats by all but what is answered, and texts by themselves', () => {
    const chat = (line: number, answer: string): { line: number; messages: { role: string; content: string }[] } => ({
      line,
      messages: [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: answer },
      ],
    });
    expect(
      groupByPrompt([
        chat(1, 'a'),
        { line: 2, text: 'hi' },
        chat(3, 'b'),
        { line: 4, prompt: 'hi', completion: '' },
        { line: 5, text: 'hi' },
      ]).map(({ length }) => length),
    ).toEqual([2, 2, 1]);
  });
});

describe('samplePrompts', () => {
  it('draws by the seed, in the order of the file', () => {
    const groups = groupByPrompt(rows);
    const lines = (seed: number): number[] => samplePrompts(groups, { count: 4, seed }).map(([{ line }]) => line);
    expect(lines(1)).toEqual(lines(1));
    expect(lines(1)).toEqual([...lines(1)].sort((a, b) => a - b));
    expect(new Set([1, 2, 3, 4].map((seed) => lines(seed).join())).size).toBeGreaterThan(1);
    expect(samplePrompts(groups, { count: 99, seed: 1 })).toEqual(groups);
  });
});
