import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ShowDataResult } from '../jobs/showData.js';
import { runCli, scratch } from '../testing.js';
import { visible } from './dataCommand.js';

const added = (id: number, content: string): object => ({ id, content, special: true, normalized: false });

/** A folder with a tokenizer of letters and a chat template, and a file of rows. */
function folder(model: string, rows: readonly object[]): { model: string; data: string } {
  const vocab = Object.fromEntries(['<s>', '</s>', ...Array.from('abcdef <>\u001b[m')].map((token, id) => [token, id]));
  const tokenizer = {
    added_tokens: [added(0, '<s>'), added(1, '</s>')],
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
    },
    decoder: { type: 'Fuse' },
    model: { type: 'BPE', vocab, merges: [] },
  };
  const files = {
    'config.json': { model_type: 'llama' },
    'tokenizer.json': tokenizer,
    'tokenizer_config.json': {
      tokenizer_class: 'PreTrainedTokenizerFast',
      bos_token: '<s>',
      eos_token: '</s>',
      strange: 1,
      chat_template: '{% for m in messages %}<{% generation %}{{ m.content }}{% endgeneration %}>{% endfor %}',
    },
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(model, name), JSON.stringify(content));
  const data = join(model, 'rows.jsonl');
  writeFileSync(data, rows.map((row) => JSON.stringify(row)).join('\n'));
  return { model, data };
}

test('data --json: a line for each row, then the summary', async () => {
  const rows = [
    { prompt: 'ab', completion: 'c' },
    { text: 'd</s>' },
    { messages: [{ role: 'assistant', content: 'e' }] },
  ];
  using home = scratch();
  const { model, data } = folder(home.path, rows);
  const outcome = await runCli(['data', '--model', model, '--data', data, '--json']);
  const [first, second, third, summary] = outcome.json<object>();
  expect(first).toEqual({ line: 1, ids: [0, 2, 3, 4, 1], labels: [-100, -100, -100, 4, 1], text: 'abc' });
  expect(second).toEqual({ line: 2, ids: [0, 5, 1], labels: [0, 5, 1], text: 'd</s>' });
  expect(third).toEqual({ line: 3, ids: [9, 6, 10], labels: [-100, 6, -100], text: '<e>' });
  const want: ShowDataResult = {
    rows: 3,
    tokens: 11,
    label_tokens: 5,
    dropped_lines: [],
    truncated_lines: [],
    unaligned_lines: [],
    doubled_bos_lines: [],
    without_eos_lines: [3],
    cut_tokens: 0,
    forms: { 'prompt and completion': 1, text: 1, messages: 1 },
    statistics: {
      lengths: { min: 3, median: 3, mean: 11 / 3, p95: 5, max: 5 },
      histogram: [{ upTo: 16, rows: 3 }],
      learnedShare: 5 / 11,
      duplicates: 0,
    },
    validation_rows: null,
    splits: {},
  };
  expect(summary).toEqual(want);
  expect(outcome.stderr).toContain('warning: tokenizer_config.json: the key "strange" is not known here');
});

test('data: the learned part is marked, cut rows are counted, and the terminal is left alone', async () => {
  using home = scratch();
  const { model, data } = folder(home.path, [{ prompt: 'a', completion: '\u001b[mb' }]);
  const outcome = await runCli(['data', '--model', model, '--data', data, '--max-length', '5']);
  expect(outcome.stdout).toContain('line 1: 5 tokens, 3 learned\n<s>a⟦\\x1b[m⟧\n');
  expect(outcome.stdout).toContain('1 rows, 5 tokens, 3 of them learned');
  expect(outcome.stdout).toContain('  up to 16 tokens ██████████████████████████████ 1\n');
  expect(outcome.stderr).toContain('1 row cut to 5 tokens, of 2 tokens more; 1 row lost the EOS with it');
});

test('data: columns by other names, what is learned, and what forms there are', async () => {
  using home = scratch();
  const { model, data } = folder(home.path, [
    { question: 'a', answer: 'b' },
    { question: 'c', answer: 'd' },
  ]);
  const flags = ['--column', 'prompt=question', '--column', 'completion=answer'];
  const outcome = await runCli(['data', '--model', model, '--data', data, ...flags, '--json']);
  expect(outcome.json<object>()[0]).toMatchObject({ ids: [0, 2, 3, 1], labels: [-100, -100, 3, 1], text: 'ab' });
  expect(outcome.stderr).toContain(`${data}: 2 rows of prompt and completion\n`);
  const whole = await runCli(['data', '--model', model, '--data', data, ...flags, '--no-completion-only-loss']);
  expect(whole.stdout).toContain('line 1: 4 tokens, 4 learned\n');
  const wrong = await runCli(['data', '--model', model, '--data', data, '--column', 'prompt']);
  expect(wrong.stderr).toContain('--column: expected a known key and the column that is it, such as prompt=question');
  const unknown = await runCli(['data', '--model', model, '--data', data, '--column', 'question=prompt']);
  expect(unknown.stderr).toContain('a column for "question"');
});

test('data: a folder of files is its train', async () => {
  using home = scratch();
  const { model } = folder(home.path, []);
  const set = join(home.path, 'set');
  mkdirSync(set);
  writeFileSync(join(set, 'train.csv'), 'prompt,completion\na,b\n');
  writeFileSync(join(set, 'valid.csv'), 'prompt,completion\na,c\nb,c\n');
  const outcome = await runCli(['data', '--model', model, '--data', set, '--json']);
  expect(outcome.json<object>()[0]).toMatchObject({ line: 2, ids: [0, 2, 3, 1], labels: [-100, -100, 3, 1] });
  expect(outcome.json<object>().at(-1)).toMatchObject({ splits: { validation: { rows: 2, shared_prompts: 1 } } });
  expect(outcome.stderr).toContain('1 of 2 validation rows ask what is asked in train too');
});

test('control characters and turns of direction are made visible', () => {
  expect(visible('a\tb\n\u001b]0;x\u0007\u009b\u202eé🙂')).toBe('a\tb\n\\x1b]0;x\\x07\\x9b\\u202eé🙂');
});
