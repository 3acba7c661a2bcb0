import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeProgram } from '../../packages/lowrank/src/cli/program';
import type { Actions } from '../../packages/lowrank/src/cli/program';
import { putGivenFiles, putGivenRun } from './givenFiles';
import { fencedBlocks, pageFiles } from './pageFiles';
import { lowrankArguments, shellCommands } from './shellCommands';

/** Every `lowrank …` of every page, as the command line reads it: the command, its flags and their values exist. */
const commands = pageFiles.flatMap((path) =>
  fencedBlocks(path)
    .filter(({ language }) => language === 'sh')
    .flatMap(({ code }) => shellCommands(code))
    .flatMap((words) => {
      const given = lowrankArguments(words);
      return given === undefined || given.length === 0 ? [] : [{ path, given, line: given.join(' ') }];
    }),
);

const folder = mkdtempSync(join(tmpdir(), 'commands-'));
const home = process.cwd();

beforeAll(async () => {
  process.chdir(folder);
  putGivenFiles(folder);
  await putGivenRun();
  writeFileSync('run.yaml', 'model: ./llama\ndata: rows.jsonl\noutput: ./adapter\n');
});
afterAll(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true, force: true });
});

test('there are commands to read', () => {
  expect(commands.length).toBeGreaterThan(80);
});

test.each(commands)('$path: lowrank $line', async ({ given }) => {
  const done: string[] = [];
  const actions = new Proxy({} as Actions, {
    get: (_, name) => async () => void done.push(String(name)),
  });
  const program = makeProgram(actions);
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
  await program.parseAsync([...given], { from: 'user' });
  expect(done).toEqual([given[0]]);
});
