import { expect, it } from 'vitest';
import { groupByPrompt } from '../promptGroups.js';
import { labeledPrompts } from './labeledPrompts.js';

const groups = groupByPrompt([
  { line: 1, prompt: 'a ->', completion: ' yes\n' },
  { line: 2, prompt: 'b ->', completion: ' no\n' },
  { line: 3, prompt: 'a ->', completion: ' no\n' },
]);

it('the answers are the different completions; a prompt may have several', () => {
  expect(labeledPrompts(groups)).toEqual({
    labels: [' yes\n', ' no\n'],
    prompts: [
      { prompt: 'a ->', right: new Set(['yes', 'no']) },
      { prompt: 'b ->', right: new Set(['no']) },
    ],
  });
});

it('labels that are given are spelled as the completions are', () => {
  expect(labeledPrompts(groups, ['no', 'yes', 'maybe', 'no']).labels).toEqual([' no\n', ' yes\n', ' maybe\n']);
});

it('refuses other completions than those given, one answer, more than 32, and plain texts', () => {
  const code = 'metrics.labels';
  expect(() => labeledPrompts(groups, ['yes', 'maybe'])).toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(/line 3|line 2/) as string }) as Error,
  );
  expect(() => labeledPrompts(groups.slice(1))).toThrow(/got 1\b/);
  const many = groupByPrompt(Array.from({ length: 33 }, (_, at) => ({ line: at, prompt: 'p', completion: `${at}` })));
  expect(() => labeledPrompts(many)).toThrow(/from 2 to 32 .*got 33\b/);
  expect(
    labeledPrompts(
      many.map(([first]) => [first]),
      ['0', '1'],
    ).labels,
  ).toEqual(['0', '1']);
  expect(() => labeledPrompts([[{ line: 1, text: 'x' }]])).toThrow(/metric label-accuracy: expected a prompt/);
});
