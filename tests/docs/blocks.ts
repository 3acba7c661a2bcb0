import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';
import { putGivenFiles, putGivenRun } from './givenFiles';
import { fencedBlocks, pageFiles } from './pageFiles';

interface Block {
  readonly path: string;
  readonly at: number;
  readonly code: string;
}

const all = pageFiles.flatMap((path) =>
  fencedBlocks(path)
    .filter(({ language }) => language === 'ts' || language === 'js')
    .map(({ code }, at): Block => ({ path, at, code })),
);

/** Blocks of a page in the browser: `tests/docs/start.test.ts` drives one, the others are compiled. */
const wantsPage = ({ code }: Block): boolean => code.includes('document.');

/** Every `ts` and `js` block of the site and of the READMEs that runs outside a page, in order. */
export const blocks: readonly Block[] = all.filter((block) => !wantsPage(block));
export const pageBlocks: readonly Block[] = all.filter(wantsPage);

/** What the blocks take as given. */
const givenNames = ['tokenizerJson', 'tokenizerConfig', 'jsonlText', 'report', 'upload'];

/** Blocks that want a GPU run in the project that has one. */
export const wantsGpu = ({ code }: Block): boolean => code.includes("'@lowrank/webgpu'");

/** Blocks that want a Redis, likewise. */
export const wantsRedis = ({ code }: Block): boolean => code.includes("'@lowrank/queue'");

/**
 * Declares a test for each block: it is run as a module, among the files and names that it takes as given, and what it
 * prints has no NaN. `instead`: what to put for words of theirs.
 */
export function runBlocks(
  chosen: readonly Block[],
  name: string,
  instead: Readonly<Record<string, () => string>> = {},
): void {
  const golden = join(root, 'parity/golden/llama');
  const generated = join(root, 'tests/docs/.cache', name);
  const folder = mkdtempSync(join(tmpdir(), 'docs-'));
  const home = process.cwd();

  beforeAll(async () => {
    putGivenFiles(folder);
    const json = (file: string): unknown => JSON.parse(readFileSync(join(golden, 'tied', file), 'utf8'));
    const jsonlText = readFileSync(join(golden, 'train/rows.jsonl'), 'utf8');
    Object.assign(globalThis, {
      tokenizerJson: json('tokenizer.json'),
      tokenizerConfig: json('tokenizer_config.json'),
      jsonlText,
      report: () => undefined,
      upload: () => undefined,
    });
    process.chdir(folder);
    if (chosen.some(({ code }) => code.includes('./run/'))) await putGivenRun();
    mkdirSync(generated, { recursive: true });
  });
  afterAll(() => {
    process.chdir(home);
    for (const name of givenNames) Reflect.deleteProperty(globalThis, name);
    rmSync(folder, { recursive: true, force: true });
    rmSync(generated, { recursive: true, force: true });
  });
  afterEach(() => vi.restoreAllMocks());

  test.each(chosen)(
    '$path, block $at',
    async ({ path, at, code }) => {
      const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
      vi.spyOn(process.stdout, 'write').mockImplementation(() => true);
      const file = join(generated, `${path.replace(/\W+/g, '-')}-${at}.ts`);
      // The tiny model knows 96 tokens.
      const words = Object.entries({ '[1, 403, 407]': () => '[1, 43, 47]', ...instead });
      writeFileSync(
        file,
        words.reduce((text, [word, put]) => text.replace(word, put()), code),
      );
      await import(file);
      const numbers = log.mock.calls.flat(2).filter((value) => typeof value === 'number');
      expect(numbers.filter((value) => !Number.isFinite(value))).toEqual([]);
    },
    120_000,
  );
}
