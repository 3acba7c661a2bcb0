import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { readTraining } from './readTraining.js';
import type { TrainingDataOptions } from './readTraining.js';
import { evaluationRowBatches, largestRowBatches, trainingRowBatches } from './rowBatches.js';
import { goldenTokenizer } from './testing/chatGolden.js';
import { complaint } from './testing.js';
import type { TrainingRows } from './trainingRows.js';

const home = mkdtempSync(join(tmpdir(), 'lowrank-training-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));
const tokenizer = goldenTokenizer('bytes');

/** Rows of many lengths; the prompts of every seventh fill all that is kept, so that nothing is left to learn. */
const rows = Array.from({ length: 100 }, (_, at) => ({
  prompt: at % 7 === 3 ? 'long '.repeat(20) : `prompt ${at % 40}: `,
  completion: 'word '.repeat((at * 5) % 11),
}));
const lines = rows.map((row) => JSON.stringify(row)).join('\n\n');

function written(name: string, content: string | Uint8Array): string {
  writeFileSync(join(home, name), content);
  return join(home, name);
}

const options = { maxLength: 48, dataMemory: 64 } satisfies TrainingDataOptions;
const open = (source: string | Blob, more: TrainingDataOptions = {}) =>
  readTraining(source, tokenizer, { ...options, dataMemory: 0, ...more });

/** The ids and labels of some steps, which go over the end of an epoch, and where they end. */
async function steps(of: TrainingRows, more: object = {}, count = 12): Promise<unknown> {
  const batches = trainingRowBatches(of, { batchSize: 5, gradientAccumulation: 2, seed: 3, ...more });
  const found: unknown[] = [];
  for (let step = 0; step < count; step++) found.push((await batches.next()).value.map(({ inputs }) => inputs));
  return { found, state: batches.state };
}

const csv = `prompt,completion\n${rows.map((row) => `"${row.prompt}","${row.completion}"`).join('\n')}\n`;
const inMemory = await readTraining(written('rows.jsonl', lines), tokenizer, options);

describe('rows that stay in their file are drawn as those in memory are', () => {
  const files: [string, () => string | Blob][] = [
    ['JSON lines', () => written('rows.jsonl', lines)],
    ['a File', () => new File([lines], 'rows.jsonl')],
    ['a JSON array', () => written('rows.json', JSON.stringify(rows, null, 1))],
    ['CSV', () => written('rows.csv', csv)],
    ['gzip', () => written('rows.jsonl.gz', gzipSync(lines))],
  ];
  it.each(files)('%s', async (_, source) => {
    const { train } = await open(source());
    expect(train.rows.length).toBe(inMemory.train.rows.length);
    expect([train.isSample, train.dataset.droppedLines.length]).toEqual([false, 14]);
    expect(await steps(train.rows)).toEqual(await steps(inMemory.train.rows));
    await train.rows.close();
  });

  it('and so are those of a Parquet file, which leaves nothing behind', async () => {
    const path = fileURLToPath(new URL('../../../parity/golden/data/rows-snappy.parquet', import.meta.url));
    const { train } = await open(path);
    const whole = await readTraining(path, tokenizer, options);
    expect(await steps(train.rows)).toEqual(await steps(whole.train.rows));
    await train.rows.close();
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('lowrank-rows-'))).toEqual([]);
  });

  it.each([{ packing: false, groupByLength: true }, { shuffle: false }, { groupByLength: true, seed: 4 }])(
    'with %j, and gone on with from any step',
    async (more) => {
      const { train } = await open(written('rows.jsonl', lines));
      const whole = await steps(inMemory.train.rows, more);
      expect(await steps(train.rows, more)).toEqual(whole);
      const { state } = (await steps(train.rows, more, 5)) as { state: object };
      const { found, state: end } = (await steps(train.rows, { ...more, state }, 7)) as {
        found: unknown[];
        state: object;
      };
      const all = whole as { found: unknown[]; state: object };
      expect([found, end]).toEqual([all.found.slice(5), all.state]);
      await train.rows.close();
    },
  );

  it('what is said of each side of a cut: its own rows', async () => {
    const more = { validation: { size: 0.3, seed: 1 } };
    const read = [
      await open(written('rows.jsonl', lines), more),
      await open(written('rows.jsonl', lines), { ...more, dataMemory: 64 }),
    ];
    const sides = read.map(({ train, validation }) => [train.dataset.forms, validation?.dataset.forms]);
    for (const { train } of read) await train.rows.close();
    expect(sides[0]).toEqual(sides[1]);
    const counts = sides[0]?.map((forms) =>
      Number(/^(\d+) of 100 rows of prompt and completion$/.exec(forms ?? '')?.[1]),
    );
    expect((counts?.[0] ?? NaN) + (counts?.[1] ?? NaN)).toBe(100);
  });

  it('every row once, for an evaluation', async () => {
    const { train } = await open(written('rows.jsonl', lines));
    let count = 0;
    for await (const batch of evaluationRowBatches(train.rows)) count += batch.rows;
    expect(count).toBe(inMemory.train.rows.kept);
    await train.rows.close();
  });

  it('what is compiled first is as large as any step', async () => {
    const { train } = await open(written('rows.jsonl', lines));
    const layout = { batchSize: 4, seed: 1 };
    const largest = Math.max(
      ...(await largestRowBatches(train.rows, { ...layout, steps: 60 })).map(({ length }) => length),
    );
    const batches = trainingRowBatches(train.rows, layout);
    for (let step = 0; step < 60; step++)
      for (const { length } of (await batches.next()).value) expect(length).toBeLessThanOrEqual(largest);
    await train.rows.close();
  });
});

describe('a cut for validation', () => {
  const prompts = async (side: TrainingRows): Promise<Set<string>> => {
    const found = new Set<string>();
    for (let at = 0; at < side.length; at++) {
      const row = await side.at(at);
      if (row !== undefined) found.add(tokenizer.decode(Array.from(row.ids).filter((_, i) => row.labels[i] === -100)));
    }
    return found;
  };

  it.each([0.2, 13])('of %d: the same from a file as in memory, and no prompt on both sides', async (size) => {
    const validation = { size, seed: 7 };
    const path = written('rows.jsonl', lines);
    const [memory, file] = [
      await readTraining(path, tokenizer, { ...options, validation }),
      await open(path, { validation }),
    ];
    for (const side of ['train', 'validation'] as const) {
      const [one, other] = [memory[side]?.rows, file[side]?.rows];
      if (one === undefined || other === undefined) return expect.fail('no such side');
      expect(other.length).toBe(one.length);
      expect(await steps(other)).toEqual(await steps(one));
    }
    const held = memory.validation?.rows ?? expect.fail('none is held out');
    expect(held.length + memory.train.rows.length).toBe(100);
    expect(held.length).toBeGreaterThanOrEqual(Math.min(13, size * 100 * 0.5));
    const trained = await prompts(memory.train.rows);
    for (const prompt of await prompts(held)) expect(trained).not.toContain(prompt);
    await file.train.rows.close();
  });

  it('of a share stays as it is when rows are added', async () => {
    const validation = { size: 0.2, seed: 7 };
    const few = await readTraining(
      written(
        'few.jsonl',
        rows
          .slice(0, 60)
          .map((row) => JSON.stringify(row))
          .join('\n'),
      ),
      tokenizer,
      { ...options, validation },
    );
    const more = await readTraining(written('rows.jsonl', lines), tokenizer, { ...options, validation });
    const held = await prompts(more.validation?.rows ?? expect.fail('none'));
    for (const prompt of await prompts(few.validation?.rows ?? expect.fail('none'))) expect(held).toContain(prompt);
  });

  it('leaves rows on both sides', async () => {
    const one = written('one.jsonl', JSON.stringify(rows[0]));
    for (const dataMemory of [0, 64])
      expect((await complaint(() => open(one, { dataMemory, validation: { size: 0.1, seed: 0 } }))).code).toBe(
        'data.holdOut',
      );
  });
});

describe('a large file', () => {
  it('is checked from end to end before anything is learned', async () => {
    const path = written('bad.jsonl', `${lines}\n{"prompt": 3, "completion": ""}\n`);
    expect((await complaint(() => open(path))).message).toContain('bad.jsonl, line 200: expected a string as "prompt"');
    const marked = written('texts.jsonl', '{"text":"Q A: b"}\n{"text":"none"}\n');
    const { message } = await complaint(() => open(marked, { completionAfter: 'A:' }));
    expect(message).toContain('texts.jsonl, line 2');
  });

  it('that changes while it is trained on is told', async () => {
    const path = written('changing.jsonl', lines);
    const { train } = await open(path);
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll('"prompt"', '"pr0mpt"'));
    expect((await complaint(() => train.rows.at(5))).code).toBe('data.changed');
    writeFileSync(path, '');
    expect((await complaint(() => train.rows.at(50))).code).toBe('data.changed');
    await train.rows.close();
  });
});
