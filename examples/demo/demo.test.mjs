import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chooseBackend } from 'lowrank';
import { describe, expect, it } from 'vitest';
import { exactMatches, examine } from './examine.mjs';
import { fineTune } from './fineTune.mjs';
import { makeTokenizer } from './makeTokenizer.mjs';
import { weightShapes } from './pretrain.mjs';
import { baseConfig, pretraining } from './recipe.mjs';
import { progressBar, table } from './show.mjs';
import { makeTask, record, testRows, trainRows } from './task.mjs';
import { makeStories } from './text.mjs';
import { isKnownCity, isKnownName } from './words.mjs';

const file = (path) => new URL(path, import.meta.url);
const rowsOf = (name) =>
  readFileSync(file(`data/${name}.jsonl`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const train = rowsOf('train');
const test = rowsOf('test');
const parse = ({ completion }) => {
  const found = /^ \{ owner: (\w+), count: (\d+), color: (\w+), item: (\w+), city: (\w+) \}$/.exec(completion);
  if (!found) throw new Error(`not a record: ${completion}`);
  const [, who, count, color, item, city] = found;
  return { item, count: Number(count), color, who, city };
};

describe('the task', () => {
  it('is what task.mjs makes', () => {
    expect({ train, test }).toEqual(makeTask());
    expect([train.length, test.length]).toEqual([trainRows, testRows]);
  });

  it.each([
    ['the committed rows', test],
    ['another draw', makeTask({ testSeed: 11 }).test],
  ])('tests on inputs that no training row has: %s', (_, rows) => {
    const prompts = new Set(train.map((row) => row.prompt));
    const completions = new Set(train.map((row) => row.completion));
    expect(rows.filter((row) => prompts.has(row.prompt) || completions.has(row.completion))).toEqual([]);
    expect(new Set(rows.map((row) => row.prompt)).size).toBe(testRows);
    const pairs = new Set(train.map(parse).map((fact) => `${fact.who} ${fact.item}`));
    const seen = new Set(train.map(parse).flatMap((fact) => [fact.who, fact.city]));
    const facts = rows.map(parse);
    expect(facts.filter((fact) => pairs.has(`${fact.who} ${fact.item}`))).toEqual([]);
    const madeUp = facts.flatMap(({ who, city }) => [
      ...(isKnownName(who) ? [] : [who]),
      ...(isKnownCity(city) ? [] : [city]),
    ]);
    expect(madeUp.length).toBeGreaterThan(50);
    expect(madeUp.filter((name) => seen.has(name))).toEqual([]);
  });

  it('writes the fact of the sentence', () => {
    for (const row of [...train, ...test]) {
      const { who, city, color } = parse(row);
      for (const part of [who, city, color]) expect(row.prompt).toContain(part);
    }
    expect(record({ item: { one: 'knife', many: 'knives' }, count: 3, color: 'red', who: 'Anna', city: 'Oslo' })).toBe(
      '{ owner: Anna, count: 3, color: red, item: knife, city: Oslo }',
    );
  });
});

describe('the pre-training text', () => {
  const stories = makeStories(pretraining.steps * pretraining['batch-size'], pretraining.seed);

  it('never has the form of an answer', () => {
    expect(stories.filter((story) => /\{ *[a-z]|\b(owner|count|color|item|city): \w+,/i.test(story))).toEqual([]);
  });

  it('has no test sentence', () => {
    const sentences = test.map((row) => row.prompt);
    const text = stories.join('\n');
    expect(sentences.filter((sentence) => text.includes(sentence))).toEqual([]);
  });

  it('is the same for the same seed', () => {
    expect(makeStories(3, 5)).toEqual(makeStories(3, 5));
    expect(makeStories(3, 5)).not.toEqual(makeStories(3, 6));
  });
});

describe('the base model', () => {
  it('is a folder of at most 4 MB', () => {
    const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
    const bytes = names.reduce((sum, name) => sum + statSync(file(`base/${name}`)).size, 0);
    expect(bytes).toBeLessThanOrEqual(4e6);
  });

  it('has the configuration of the recipe and weights to match', () => {
    expect(JSON.parse(readFileSync(file('base/config.json'), 'utf8'))).toEqual(baseConfig);
    const bytes = readFileSync(file('base/model.safetensors'));
    const { __metadata__, ...tensors } = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString());
    expect(Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape]))).toEqual(
      weightShapes(baseConfig),
    );
  });

  it('has the tokenizer that the script makes', () => {
    expect(JSON.parse(readFileSync(file('base/tokenizer.json'), 'utf8'))).toEqual(makeTokenizer().tokenizer);
  });
});

describe('the fine-tuning', () => {
  it('lowers the loss on unseen rows within a few steps, and its adapter folder carries that', async () => {
    const output = mkdtempSync(join(tmpdir(), 'lowrank-demo-'));
    const { backend } = await chooseBackend('cpu');
    const rows = test.slice(0, 8);
    const before = await examine({ backend, rows });
    const losses = [];
    const { steps } = await fineTune({
      backend,
      rows: train,
      output,
      steps: 60,
      onStep: ({ loss }) => losses.push(loss),
    });
    const after = await examine({ backend, rows, adapter: output });
    backend.dispose();
    rmSync(output, { recursive: true });

    expect([steps, losses.length]).toEqual([60, 60]);
    expect(losses.at(-1)).toBeLessThan(0.1 * losses[0]);
    expect(after.loss).toBeLessThan(0.1 * before.loss);
    expect(before.exact).toBe(0);
    expect(before.answers.filter((answer) => answer.includes('{ owner'))).toEqual([]);
    const isRecord = (answer) => /^ \{ owner: \w+, count: \d+, color: \w+, item: \w+, city: \w+ \}$/.test(answer);
    expect(after.answers.filter(isRecord).length).toBeGreaterThan(5);
  });
});

describe('what the demo shows', () => {
  it('counts exact matches, blanks at the ends aside', () => {
    const rows = [{ completion: 'a b' }, { completion: 'c' }, { completion: 'd' }];
    expect(exactMatches([' a b\n', 'C'], rows)).toBe(1);
  });

  it('draws a bar on a terminal, and a line for each fifth elsewhere', () => {
    const drawn = (isTTY) => {
      const written = [];
      const bar = progressBar('Training', 10, 'steps', { isTTY, write: (text) => written.push(text) });
      for (let step = 1; step <= 10; step++) bar.update(step, `loss ${step}`);
      bar.end('done');
      return written;
    };
    expect(drawn(true)).toHaveLength(12);
    expect(drawn(true)[4]).toMatch(/^\rTraining {3}█{15}░{15} {2}5\/10 steps {2}0\.\d s {2}loss 5/);
    expect(drawn(false)).toHaveLength(7);
    expect(drawn(false).at(-1)).toMatch(/^Training {3}█{30} {2}10\/10 steps {2}0\.\d s {2}done\n$/);
  });

  it('draws a table with aligned columns', () => {
    expect(
      table([
        ['x', 'before'],
        ['loss', '1'],
      ]),
    ).toBe('  x     before\n  loss       1');
  });
});
