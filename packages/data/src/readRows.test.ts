import { describe, expect, it } from 'vitest';
import { parseJsonl } from './readRows.js';
import { complaint } from './testing.js';

async function* chunks(text: string, size: number): AsyncGenerator<string> {
  for (let i = 0; i < text.length; i += size) yield await Promise.resolve(text.slice(i, i + size));
}

const good =
  '\ufeff{"prompt":"p","completion":"c","other":1}\r\n\n  \n{"text":"t\\n\u2028x"}\n{"completion":"","prompt":""}';
const rows = [
  { line: 1, prompt: 'p', completion: 'c' },
  { line: 4, text: 't\n\u2028x' },
  { line: 5, prompt: '', completion: '' },
];

it('reads rows, with their lines', async () => {
  expect(await parseJsonl(good)).toEqual(rows);
  expect(await parseJsonl(`${good}\n`)).toEqual(rows);
});

it.each([1, 2, 7, 1000])('reads the same rows from chunks of %d', async (size) => {
  expect(await parseJsonl(chunks(good, size))).toEqual(rows);
});

it('null columns are no columns: what writes rows of several forms to one file fills them so', async () => {
  const lines = [
    '{"prompt":"p","completion":"c","text":null,"messages":null}',
    '{"prompt":null,"completion":null,"text":"t"}',
    '{"text":null,"messages":[{"role":"user","content":"x"}],"tools":"[{\\"name\\": ' +
      '1}]","chat_template_kwargs":{"k":true}}',
    '{"messages":[{"role":"user"}],"tools":null,"chat_template_kwargs":null}',
  ];
  expect(await parseJsonl(lines.join('\n'))).toEqual([
    { line: 1, prompt: 'p', completion: 'c' },
    { line: 2, text: 't' },
    { line: 3, messages: [{ role: 'user', content: 'x' }], tools: [{ name: 1 }], variables: { k: true } },
    { line: 4, messages: [{ role: 'user' }] },
  ]);
});

it('prompt and completion may be lists of messages, in the words of ShareGPT too', async () => {
  const lines = [
    '{"prompt":[{"role":"system","content":"s"},{"role":"user","content":"u"}],"completion":[{"role":"assistant",' +
      '"content":"a"}],"tools":[{"name":"f"}]}',
    '{"prompt":[{"from":"human","value":"u","weight":1}],"completion":[{"from":"gpt","value":"a"},{"from":"tool",' +
      '"value":"3"}]}',
  ];
  const system = { role: 'system', content: 's' };
  const [user, assistant] = [
    { role: 'user', content: 'u' },
    { role: 'assistant', content: 'a' },
  ];
  expect(await parseJsonl(lines.join('\n'))).toEqual([
    { line: 1, messages: [system, user, assistant], promptMessages: 2, tools: [{ name: 'f' }] },
    {
      line: 2,
      messages: [{ ...user, weight: 1 }, assistant, { role: 'tool', content: '3' }],
      promptMessages: 1,
    },
  ]);
});

it.each(['[\n{"text":"a"},\n{"text":"b"}\n]', '[{"text":"a"},{"text":"b"}]', ' [{"text":"a"},\n{"text":"b"}]\n'])(
  'one JSON array is read as its rows: %j',
  async (text) => {
    expect(await parseJsonl(text, { name: 'train.json' })).toEqual([
      { line: 1, text: 'a' },
      { line: 2, text: 'b' },
    ]);
  },
);

it('takes time by the length of a line, in however many pieces it comes', async () => {
  const pieces = ['{"text":"', ...Array.from({ length: 4000 }, () => 'x'.repeat(1000)), '"}\n', '{"text":"y"}'];
  const start = performance.now();
  const [long, short] = await parseJsonl(pieces);
  expect([long !== undefined && 'text' in long && long.text.length, short]).toEqual([4e6, { line: 2, text: 'y' }]);
  expect(performance.now() - start).toBeLessThan(1500);
});

describe('lines that are refused', () => {
  it.each([
    ['data.json', '{"text": "a"', '{"text": "a"'],
    ['data.json', 'text', 'text'],
    ['data.rowForm', '"text"', '"text"'],
    ['data.rowForm', 'null', 'null'],
    ['data.rowForm', '[{"text":"a"}]', '[{'],
    ['data.rowForm', '{}', 'no keys'],
    ['data.rowForm', '{"prompt":"a"}', 'only "prompt"'],
    ['data.rowForm', '{"completion":"a"}', 'only "completion"'],
    ['data.rowForm', '{"question":"a","id":3}', '"question", "id"'],
    ['data.rowType', '{"conversations":[],"id":3}', '[]'],
    ['data.rowType', '{"messages":[],"id":3}', '[]'],
    ['data.rowForm', '{"text":"a","prompt":"b","completion":"c"}', 'together'],
    ['data.rowType', '{"text":3}', '3'],
    ['data.rowForm', '{"prompt":"a","completion":null}', 'only "prompt"'],
    ['data.rowForm', '{"prompt":null,"completion":null}', 'null as "prompt", "completion"'],
    ['data.rowType', '{"messages":[{"role":"user"}],"chat_template_kwargs":[]}', '[]'],
    ['data.rowType', `{"prompt":[${'1,'.repeat(100)}1],"completion":""}`, '...'],
    ['data.rowType', '{"prompt":[{"role":"user"}],"completion":"a"}', '"a"'],
    ['data.rowType', '{"prompt":[],"completion":[{"role":"assistant"}]}', '[]'],
    ['data.rowType', '{"prompt":[{"role":"user"}],"completion":[]}', '[]'],
    ['data.rowType', '{"prompt":[{"value":"no one says it"}],"completion":[{"role":"assistant"}]}', '[{"value'],
  ])('%s: %s', async (code, line, got) => {
    const result = await complaint(() =>
      parseJsonl(`{"text":"ok"}\n\n${line}\n{"text":"ok"}`, { name: 'train.jsonl' }),
    );
    expect(result.code).toBe(code);
    expect(result.message).toContain('train.jsonl, line 3: expected ');
    expect(result.message).toContain(got);
    expect(result.message.length).toBeLessThan(400);
  });

  it('counts and names all of them', async () => {
    const { message } = await complaint(() => parseJsonl('{"text":"ok"}\nx\n{"text":1}\n{"text":"ok"}\n{}\n'));
    expect(message).toContain('line 2:');
    expect(message).toContain('3 lines are bad; the others: 3, 5.');
    const many = await complaint(() => parseJsonl('x\n'.repeat(100)));
    expect(many.message).toContain('100 lines are bad');
    expect(many.message).toContain('and 79 more');
  });

  it.each(['', '\n\n', ' ', '\ufeff'])('no rows: %j', async (text) => {
    expect((await complaint(() => parseJsonl(text))).code).toBe('data.empty');
  });
});
