import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { golden, runCli, scratch } from '../testing.js';
import type { Outcome } from '../testing.js';

const model = join(golden, 'tied');
const adapter = join(golden, 'train/lora/final');
const templateText =
  '{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if ' +
  'add_generation_prompt %}assistant:{% endif %}';

interface Line {
  role?: string;
  content: string;
  adapter: string | null;
  ended_by: string;
  turns: number;
  messages: { role: string; content: string }[];
  error?: { code: string; message: string };
}

async function chat(input: readonly string[], flags: readonly string[] = []): Promise<Outcome & { template: string }> {
  using folder = scratch();
  const template = join(folder.path, 'chat.jinja');
  writeFileSync(template, templateText);
  return {
    ...(await runCli(
      [
        'chat',
        '--model',
        model,
        '--template',
        template,
        '--device',
        'cpu',
        '--temperature',
        '0',
        '--max-new-tokens',
        '6',
        ...flags,
      ],
      { input },
    )),
    template,
  };
}

/** What `generate` writes to the same text. */
async function generated(prompt: string, flags: readonly string[] = []): Promise<string> {
  const outcome = await runCli([
    'generate',
    '--model',
    model,
    '--device',
    'cpu',
    '--json',
    '--max-new-tokens',
    '6',
    '--prompt',
    prompt,
    ...flags,
  ]);
  return outcome.json<{ text: string }>()[0]?.text ?? 'none';
}

test('answers are what the model writes to the rendered chat, turn after turn', async () => {
  const outcome = await chat(['name: ada', '', '/help', 'town: rome'], ['--json', '--system', 'a baker']);
  expect(outcome.code).toBe(0);
  const [first, second, result] = outcome.json<Line>();
  const head = 'system: a baker\nuser: name: ada\nassistant:';
  expect(first).toEqual({ role: 'assistant', content: await generated(head), adapter: null, ended_by: 'length' });
  expect(second?.content).toBe(await generated(`${head} ${first?.content}\nuser: town: rome\nassistant:`));
  expect(result).toMatchObject({ turns: 2, adapter: null });
  expect(result?.messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant', 'user', 'assistant']);
  expect(outcome.stderr).toContain('/adapter NAME');
});

test('without --json, answers alone are stdout', async () => {
  const outcome = await chat(['name: ada', '/exit', 'never read']);
  expect(outcome).toMatchObject({ code: 0, stdout: `${await generated('user: name: ada\nassistant:')}\n` });
});

test('/adapter switches between adapters and the base model, to and fro', async () => {
  const other = join(golden, 'adapters/tied-all');
  const lines = [
    '/adapter',
    'name: ada',
    '/reset',
    '/adapter none',
    'name: ada',
    '/reset',
    '/adapter tied-all',
    'name: ada',
    '/reset',
    '/adapter baker',
    'name: ada',
    '/adapter nowhere',
  ];
  const outcome = await chat(lines, ['--json', '--adapter', `baker=${adapter}`, '--adapter', other]);
  expect([outcome.code, outcome.stderr]).toEqual([0, expect.any(String)]);
  const answers = outcome.json<Line>();
  const prompt = 'user: name: ada\nassistant:';
  const [baker, base, tied] = [
    await generated(prompt, ['--adapter', adapter]),
    await generated(prompt),
    await generated(prompt, ['--adapter', other]),
  ];
  expect(new Set([baker, base, tied]).size).toBe(3);
  expect(answers.slice(0, 4).map((line) => [line.adapter, line.content])).toEqual([
    ['baker', baker],
    [null, base],
    ['tied-all', tied],
    ['baker', baker],
  ]);
  expect(answers[4]?.error).toMatchObject({ code: 'cli.noAdapter' });
  expect(answers[5]).toMatchObject({ turns: 4, adapter: 'baker' });
  expect(outcome.stderr).toContain('adapter baker (of baker, tied-all, none)');
});

test('/system begins anew, /reset keeps it; unknown commands are told, two slashes are one', async () => {
  const outcome = await chat(
    ['x', '/system be brief', '//adapter', '/reset', 'y', '/system', 'z', '/what'],
    ['--json'],
  );
  const lines = outcome.json<Line>();
  expect(lines[1]?.content).toBe(await generated('system: be brief\nuser: /adapter\nassistant:'));
  expect(lines[2]?.content).toBe(await generated('system: be brief\nuser: y\nassistant:'));
  expect(lines[3]?.content).toBe(await generated('user: z\nassistant:'));
  expect(lines[4]?.error?.message).toMatch(/\/what: expected \/adapter, \/reset/);
  expect(lines[5]?.messages).toEqual([
    { role: 'user', content: 'z' },
    { role: 'assistant', content: lines[3]?.content },
  ]);
});

test('what does not fit the context is forgotten, the oldest first; what alone is too long is told', async () => {
  const long = 'name: ada and name: bela and name: cato';
  const outcome = await chat([long, long, long, long, 'x'.repeat(200)], ['--json']);
  expect(outcome.stderr).toMatch(/the oldest (turn was|\d turns were) forgotten/);
  const lines = outcome.json<Line>();
  expect(lines.at(-2)?.error).toMatchObject({ code: 'cli.chatTooLong' });
  expect(lines.at(-1)?.turns).toBe(4);
});

test('Ctrl-C ends an answer, and the chat goes on', async () => {
  using folder = scratch();
  const template = join(folder.path, 'chat.jinja');
  writeFileSync(template, templateText);
  let interrupted = false;
  const interruptWhen = (stdout: string): boolean => !interrupted && stdout.length > 2 && (interrupted = true);
  const outcome = await runCli(
    [
      'chat',
      '--model',
      model,
      '--template',
      template,
      '--device',
      'cpu',
      '--temperature',
      '0',
      '--max-new-tokens',
      '40',
    ],
    { input: ['name: ada', '/exit'], interruptWhen },
  );
  expect(outcome.code).toBe(0);
  expect(outcome.stderr).toContain('(interrupted)');
  expect(outcome.stdout.length).toBeLessThan(30);
});

test('a template that refuses a chat is told, and the chat goes on', async () => {
  using folder = scratch();
  const template = join(folder.path, 'strict.jinja');
  writeFileSync(
    template,
    "{% if messages[0].role == 'system' %}{{ raise_exception('No system messages') }}{% endif %}{% for m in " +
      'messages %}{{ m.content }}|{% endfor %}',
  );
  const outcome = await runCli(['chat', '--model', model, '--template', template, '--device', 'cpu', '--json'], {
    input: ['/system x', 'y', '/system', 'y'],
  });
  const lines = outcome.json<Line>();
  expect(lines[0]?.error?.message).toContain('No system messages');
  expect(lines[2]).toMatchObject({ turns: 1 });
});

test('a model without a chat template, two adapters of one name, a template that is none', async () => {
  const bare = await runCli(['chat', '--model', model, '--device', 'cpu'], { input: ['x'] });
  expect(bare.code).toBe(2);
  expect(bare.stderr).toMatch(/expected a chat template.*--template FILE/);
  expect((await chat(['x'], ['--adapter', `a=${adapter}`, '--adapter', `a=${adapter}`])).stderr).toContain(
    'two adapters called a',
  );
  const missing = await runCli(['chat', '--model', model, '--template', '/nowhere.jinja', '--device', 'cpu'], {
    input: ['x'],
  });
  expect(missing).toMatchObject({ code: 2 });
  expect(missing.stderr).toContain('/nowhere.jinja');
});

test('rows of messages train with the chat template: what assistants say is learned, and a chat shows it', async () => {
  using folder = scratch();
  const [template, data, output] = ['chat.jinja', 'rows.jsonl', 'out'].map((name) => join(folder.path, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(template, templateText);
  const messages = [
    { role: 'user', content: 'name: ada' },
    { role: 'assistant', content: 'a baker' },
  ];
  writeFileSync(data, `${JSON.stringify({ messages })}\n${JSON.stringify({ messages: [...messages, ...messages] })}\n`);
  const flags = ['--model', model, '--data', data, '--device', 'cpu', '--json'];
  const refused = await runCli(['eval', ...flags]);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/line 1: messages: expected a chat template/);
  const [before] = (await runCli(['eval', ...flags, '--template', template])).json<{ loss: number; tokens: number }>();
  const trained = await runCli([
    'train',
    ...flags,
    '--template',
    template,
    '--output',
    output,
    '--steps',
    '60',
    '--learning-rate',
    '0.02',
    '--target-modules',
    'all-linear',
    '--r',
    '8',
  ]);
  expect([trained.code, trained.stderr]).toEqual([0, expect.any(String)]);
  const [after] = (await runCli(['eval', ...flags, '--template', template, '--adapter', output])).json<{
    loss: number;
    tokens: number;
  }>();
  expect(after?.tokens).toBe(before?.tokens);
  expect(after?.loss).toBeLessThan((before?.loss ?? 0) / 10);
  const spoken = await runCli(
    [
      'chat',
      '--model',
      model,
      '--template',
      template,
      '--adapter',
      output,
      '--device',
      'cpu',
      '--temperature',
      '0',
      '--stop',
      '\\n',
    ],
    { input: ['name: ada'] },
  );
  expect(spoken.stdout.trim()).toBe('a baker');
});

test('an encoder has nothing to say', async () => {
  const encoder = join(golden, '../tasks/model');
  const { stderr } = await runCli(['chat', '--model', encoder, '--device', 'cpu'], { input: ['Hello'] });
  expect(stderr).toContain('a model that writes text, got BERT, an encoder. Ask it with `lowrank predict`.');
});
