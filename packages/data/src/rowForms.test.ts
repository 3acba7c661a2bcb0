import { expect, it } from 'vitest';
import { alpacaPrompt } from './alpaca.js';
import { describeForms, rowOf } from './rowForms.js';
import type { RowReading } from './rowForms.js';

const read = (value: object, reading: RowReading = {}): unknown => rowOf(value, 1, reading);
const human = { from: 'human', value: 'q' };
const gpt = { from: 'gpt', value: 'a' };
const [user, assistant] = [
  { role: 'user', content: 'q' },
  { role: 'assistant', content: 'a' },
];
const rejected = { role: 'assistant', content: 'b' };

it('Alpaca: the prompt that the field writes for it, with and without an input', () => {
  const row = { instruction: 'Add.', input: '1 2', output: '3' };
  expect(read(row)).toEqual({
    form: 'Alpaca',
    row: { line: 1, prompt: alpacaPrompt('Add.', '1 2'), completion: '3' },
  });
  expect(alpacaPrompt('Add.', '1 2')).toBe(
    'Below is an instruction that describes a task, paired with an input that provides further context. Write a ' +
      'response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n1 2\n\n' +
      '### Response:\n',
  );
  const alone = { row: { prompt: alpacaPrompt('Add.', '') } };
  for (const input of ['', null, undefined]) expect(read({ ...row, input })).toMatchObject(alone);
  expect(alpacaPrompt('Add.', '')).toMatch(
    /task\. Write a response .*\.\n\n### Instruction:\nAdd\.\n\n### Response:\n$/,
  );
  expect(read({ ...row, history: [['x', 'y']] })).toMatchObject({ code: 'data.rowType', got: '[["x","y"]]' });
});

it('ShareGPT: who speaks by the names that templates know, calls of functions as calls', () => {
  const system = { from: 'system', value: 's' };
  const call = { from: 'function_call', value: '{"name": "f", "arguments": {"x": 1}}' };
  const observation = { from: 'observation', value: '3' };
  const row = { conversations: [system, human, call, observation, gpt], tools: '[{"name": "f"}]' };
  expect(read(row)).toEqual({
    form: 'ShareGPT',
    row: {
      line: 1,
      messages: [
        { role: 'system', content: 's' },
        user,
        {
          role: 'assistant',
          content: '',
          tool_calls: [{ type: 'function', function: { name: 'f', arguments: { x: 1 } } }],
        },
        { role: 'tool', content: '3' },
        assistant,
      ],
      tools: [{ name: 'f' }],
    },
  });
  expect(read({ conversations: [human, gpt], system: 's', tools: '' })).toEqual({
    form: 'ShareGPT',
    row: { line: 1, messages: [{ role: 'system', content: 's' }, user, assistant] },
  });
});

it('preferences: a given prompt, one that both answers begin with, texts and messages', () => {
  const kind = 'preference';
  const texts = { prompt: 'p', chosen: 'c', rejected: 'r' };
  const pair = { line: 1, prompt: [user], chosen: [assistant], rejected: [rejected] };
  expect(read(texts, { kind })).toEqual({ form: 'preference', row: { line: 1, ...texts } });
  expect(read({ chosen: 'is it? yes', rejected: 'is it? no' }, { kind })).toMatchObject({
    row: { prompt: 'is it?', chosen: ' yes', rejected: ' no' },
  });
  const whole = { chosen: [user, assistant], rejected: [user, rejected] };
  // As ultrafeedback_binarized: a prompt in words beside messages that repeat it.
  for (const row of [whole, { ...whole, prompt: 'q', messages: whole.chosen }])
    expect(read(row, { kind })).toEqual({ form: 'preference', row: pair });
  expect(read({ prompt: [user], chosen: [assistant], rejected: [rejected] }, { kind })).toMatchObject({ row: pair });
  const single = { conversations: [human], chosen: gpt, rejected: { from: 'gpt', value: 'b' } };
  expect(read(single, { kind })).toMatchObject({ row: pair });
  const parts = (message: typeof user): object => ({
    role: message.role,
    content: [{ type: 'text', value: message.content }],
  });
  expect(
    read({ chosen_messages: [user, assistant].map(parts), rejected_messages: [user, rejected].map(parts) }, { kind }),
  ).toMatchObject({ row: pair });
  expect(read({ chosen: 'yes', rejected: 'no' }, { kind })).toMatchObject({ code: 'data.rowType' });
  expect(read({ prompt: 'p', completion: 'c' }, { kind })).toMatchObject({ code: 'data.rowForm' });
});

it('KTO: completions with a label, in the forms that completions have', () => {
  const kind = 'kto';
  const sides = { prompt: 'p', completion: 'c' };
  for (const label of [true, 1, 'True'])
    expect(read({ ...sides, label }, { kind })).toMatchObject({ row: { ...sides, label: true } });
  expect(read({ ...sides, label: false }, { kind })).toMatchObject({ row: { label: false } });
  expect(read({ ...sides, label: 'good' }, { kind })).toMatchObject({ code: 'data.rowType', got: '"good"' });
  expect(read(sides, { kind })).toMatchObject({ code: 'data.rowForm' });
  expect(read({ messages: [user, assistant], label: true }, { kind })).toMatchObject({
    row: { messages: [user, assistant], promptMessages: 1, label: true },
  });
  // What learns completions has no use for it.
  expect(read({ ...sides, label: 'good' })).toEqual({ form: 'prompt and completion', row: { line: 1, ...sides } });
});

it('a row with the keys of two forms is what TRL 1.16 makes of it, or is refused', () => {
  const [texts, messages] = [{ prompt: 'p', completion: 'c' }, { messages: [user, assistant] }];
  const formOf = (row: object): unknown => (read(row) as { form?: string }).form;
  expect(formOf({ ...messages, text: 't' })).toBe('messages');
  expect(formOf({ ...messages, prompt: [user], completion: [assistant] })).toBe('prompt and completion');
  expect(formOf({ text: 't', instruction: 'i', output: 'o' })).toBe('text');
  expect(formOf({ text: 't', chosen: 'c', rejected: 'r' })).toBe('text');
  expect(formOf({ text: 't', conversations: [human, gpt] })).toBe('ShareGPT');
  expect(formOf({ ...texts, instruction: 'i', output: 'o' })).toBe('prompt and completion');
  for (const row of [
    { ...texts, text: 't' },
    { ...texts, ...messages },
    { prompt: 'p', text: 't' },
  ])
    expect(read(row)).toMatchObject({ code: 'data.rowForm', got: expect.stringContaining('together') as string });
});

it('columns: the known key under the name that the file has for it', () => {
  const columns = { prompt: 'question', completion: 'answer' };
  expect(read({ question: 'q', answer: 'a', text: 'unused' }, { columns })).toMatchObject({
    row: { prompt: 'q', completion: 'a' },
  });
  expect(read({ question: 'q', completion: 'a' }, { columns: { prompt: 'question' } })).toMatchObject({
    row: { prompt: 'q', completion: 'a' },
  });
  expect(read({ body: 't', messages: 'no' }, { columns: { text: 'body' } })).toMatchObject({ row: { text: 't' } });
  expect(read({ query: 'q', answer: 'a' }, { columns })).toMatchObject({
    code: 'data.rowForm',
    expected: expect.stringContaining('"question" as "prompt"') as string,
    got: '"query", "answer"',
  });
});

it('how many rows there are, and how many of them are chosen', () => {
  const one = new Map([['Alpaca', 80]]);
  expect([describeForms(one), describeForms(one, 80)]).toEqual(['80 rows of Alpaca', '80 rows of Alpaca']);
  expect(describeForms(one, 24)).toBe('24 of 80 rows of Alpaca');
  const two = new Map([...one, ['text', 1]]);
  expect(describeForms(two, 24)).toBe('24 of 81 rows (80 rows of Alpaca, 1 row of text)');
});
