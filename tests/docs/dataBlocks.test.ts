import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeProgram } from '../../packages/lowrank/src/cli/program';
import type { Actions } from '../../packages/lowrank/src/cli/program';
import { fencedBlocks, pageFiles } from './pageFiles';

const blocks = pageFiles.flatMap((path) => fencedBlocks(path));
const of = (language: string): { path: string; code: string }[] =>
  blocks.filter((block) => block.language === language);

test.each(of('json'))('$path: JSON, whole or line by line', ({ code }) => {
  const isWhole = (text: string): boolean => {
    try {
      return JSON.parse(text) !== undefined;
    } catch {
      return false;
    }
  };
  expect(isWhole(code) || code.trim().split('\n').every(isWhole)).toBe(true);
});

test.each(of('yaml'))('$path: a configuration file that the command line reads', async ({ code }) => {
  const folder = mkdtempSync(join(tmpdir(), 'yaml-'));
  const file = join(folder, 'run.yaml');
  writeFileSync(file, code);
  const read: object[] = [];
  const program = makeProgram({ train: async (flags) => void read.push(flags) } as Pick<Actions, 'train'> as Actions);
  await program.parseAsync(['train', file], { from: 'user' });
  expect(read).toHaveLength(1);
  rmSync(folder, { recursive: true, force: true });
});

test('every language of a block has a test that reads it', () => {
  // `sh`: commands.test.ts; `ts`, `js`: runs*.test.ts; `html`: start.test.ts; `diff`: contributing.test.ts. Python and
  // plain text are for other programs.
  const known = ['sh', 'ts', 'js', 'json', 'yaml', 'html', 'diff', 'python', 'text'];
  expect(blocks.filter(({ language }) => !known.includes(language))).toEqual([]);
});
