import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';

interface Block {
  readonly path: string;
  readonly at: number;
  readonly code: string;
}

/** Every `ts` and `js` block of the READMEs of the packages and of the repository, in order. */
export const blocks: readonly Block[] = [
  'README.md',
  ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}/README.md`),
]
  .filter((path) => existsSync(join(root, path)))
  .flatMap((path) =>
    [...readFileSync(join(root, path), 'utf8').matchAll(/^```(?:ts|js)\n([\s\S]*?)^```/gm)].map(
      ([, code = ''], at) => ({ path, at, code }),
    ),
  );

/** What the blocks take as given. */
const givenNames = ['tokenizerJson', 'tokenizerConfig', 'jsonlText', 'report'];

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

  beforeAll(() => {
    for (const model of ['llama', 'my-llama']) cpSync(join(golden, 'tied'), join(folder, model), { recursive: true });
    cpSync(join(golden, 'train/rows.jsonl'), join(folder, 'rows.jsonl'));
    const json = (file: string): unknown => JSON.parse(readFileSync(join(golden, 'tied', file), 'utf8'));
    const jsonlText = readFileSync(join(golden, 'train/rows.jsonl'), 'utf8');
    Object.assign(globalThis, {
      tokenizerJson: json('tokenizer.json'),
      tokenizerConfig: json('tokenizer_config.json'),
      jsonlText,
      report: () => undefined,
    });
    process.chdir(folder);
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
