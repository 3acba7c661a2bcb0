import { expect, it } from 'vitest';
import { implicitPrompt } from './implicitPrompt.js';

const user = (content: string): { role: string; content: string } => ({ role: 'user', content });
const assistant = (content: string): { role: string; content: string } => ({ role: 'assistant', content });

// What trl.data_utils.extract_prompt (TRL 1.16) makes of the same.
it.each([
  ['The sky is', ' blue.', ' green.'],
  ['The sky is blu', 'e', 'e'],
  ['a', 'b', 'bc'],
  ['😀', 'a', 'b'],
  ['', '😀', '😁'],
])('%j before %j and %j', (prompt, chosen, rejected) => {
  expect(implicitPrompt(prompt + chosen, prompt + rejected)).toEqual({ prompt, chosen, rejected });
});

it('of messages, whatever the order of their keys', () => {
  const [question, blue, green] = [user('q'), assistant('blue'), assistant('green')];
  expect(implicitPrompt([{ content: 'q', role: 'user' }, blue], [question, green])).toEqual({
    prompt: [question],
    chosen: [blue],
    rejected: [green],
  });
  expect(implicitPrompt([question, blue], [question, blue])).toEqual({
    prompt: [question],
    chosen: [blue],
    rejected: [blue],
  });
});
