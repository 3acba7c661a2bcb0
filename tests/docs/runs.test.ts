import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';

const golden = join(root, 'parity/golden/llama');
const generated = join(root, 'tests/docs/.cache');
const folder = mkdtempSync(join(tmpdir(), 'docs-'));
const home = process.cwd();

// What the snippets take as given: folders in the working directory, and names that their text explains.
beforeAll(() => {
  for (const name of ['llama', 'my-llama']) cpSync(join(golden, 'tied'), join(folder, name), { recursive: true });
  cpSync(join(golden, 'train/rows.jsonl'), join(folder, 'rows.jsonl'));
  const json = (name: string): unknown => JSON.parse(readFileSync(join(golden, 'tied', name), 'utf8'));
  Object.assign(globalThis, { tokenizerJson: json('tokenizer.json'), tokenizerConfig: json('tokenizer_config.json'), jsonlText: readFileSync(join(golden, 'train/rows.jsonl'), 'utf8'), report: () => undefined });
  process.chdir(folder);
  mkdirSync(generated, { recursive: true });
});
afterAll(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true, force: true });
  rmSync(generated, { recursive: true, force: true });
});
afterEach(() => vi.restoreAllMocks());

/** Every `ts` and `js` block of the READMEs of the packages and of the repository. */
const blocks = ['README.md', ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}/README.md`)]
  .filter((path) => existsSync(join(root, path)))
  .flatMap((path) => [...readFileSync(join(root, path), 'utf8').matchAll(/^```(?:ts|js)\n([\s\S]*?)^```/gm)].map(([, code = ''], at) => ({ path, at, code })));

test.each(blocks)('$path, block $at', async ({ path, at, code }) => {
  // Shown to say where a name comes from; nothing runs in it.
  if (!/^(?!import ).*\S/m.test(code)) return;
  const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  const file = join(generated, `${path.replace(/\W+/g, '-')}-${at}.ts`);
  // The tiny model knows 96 tokens.
  writeFileSync(file, code.replace('[1, 403, 407]', '[1, 43, 47]'));
  await import(file);
  // Numbers that a block prints are numbers.
  for (const value of log.mock.calls.flat(2)) if (typeof value === 'number') expect(Number.isFinite(value)).toBe(true);
}, 120_000);

test('there are blocks to run', () => {
  expect(blocks.length).toBeGreaterThanOrEqual(9);
});

test('the snippet of tensors alone fits its line', async () => {
  const { fitted } = await import('../../docs/snippets/fitLine');
  expect(fitted[0]).toBeCloseTo(2, 3);
  expect(fitted[1]).toBeCloseTo(-1, 3);
});
