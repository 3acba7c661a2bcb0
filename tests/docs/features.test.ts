import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { combineMethods, loraInits } from '@lowrank/lora';
import { methodNames } from '@lowrank/methods';
import { metricNames } from '@lowrank/data';
import { objectiveNames, optimizers, schedules } from '@lowrank/trainer';
import { expect, test } from 'vitest';
import { makeProgram } from '../../packages/lowrank/src/cli/program';
import type { Actions } from '../../packages/lowrank/src/cli/program';
import { families } from '../../packages/models/src/families/index';
import { root } from '../../scripts/lib/paths.mjs';

// What there is, is in the code's own lists; READMEs, site, llms.txt and help tell it, and cannot tell anything else.
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const llms = read('docs/public/llms.txt');
const program = makeProgram({} as Actions);
const commands = program.commands.map((command) => command.name()).sort();

/** The help of one command, as a terminal shows it. */
function helpOf(name: string): string {
  const command = program.commands.find((each) => each.name() === name);
  return (command?.helpInformation() ?? '').replaceAll(/\s+/g, ' ');
}

/** The names in backticks within a text. */
const quoted = (text: string): string[] => [...text.matchAll(/`([\w-]+)`/g)].map(([, name = '']) => name);

/** The line of llms.txt that begins with a word. */
const lineOf = (word: string): string => llms.split('\n').find((line) => line.startsWith(word)) ?? '';

test('commands: the page of the command line has a section for each, and no other', () => {
  const headings = [...read('docs/cli.md').matchAll(/^## ([a-z]+)$/gm)].map(([, name = '']) => name).sort();
  expect(headings).toEqual(commands);
});

test('commands: the table of the package, llms.txt and the README name each', () => {
  const table = /## Commands\n([\s\S]*?)\n`lowrank COMMAND/.exec(read('packages/lowrank/README.md'))?.[1] ?? '';
  const rows = [...table.matchAll(/^\| `([a-z]+)`/gm)].map(([, name = '']) => name).sort();
  expect(rows).toEqual(commands);
  const told = new Set([...quoted(lineOf('Command line')), 'train']);
  expect(commands.filter((name) => !told.has(name))).toEqual([]);
  const readme = read('README.md');
  expect(commands.filter((name) => !new RegExp(`lowrank ${name}\\b|\`${name}\``).test(readme))).toEqual([]);
});

test('methods: llms.txt lists them, their page and the help of train tell of each', () => {
  const listed = /^Methods .*?: ([\w, ]+)\./.exec(lineOf('Methods'))?.[1]?.split(', ');
  expect(listed).toEqual([...methodNames]);
  const help = helpOf('train');
  const page = `${read('docs/methods.md')}${read('docs/intrinsicDimension.md')}${read('docs/adapters.md')}`;
  expect(methodNames.filter((name) => !help.includes(`${name} (`))).toEqual([]);
  expect(
    methodNames.filter(
      (name) => !page.includes(`--method ${name}`) && !page.includes(`\`${name}\``) && name !== 'lora',
    ),
  ).toEqual([]);
});

test('losses: llms.txt, their page and the help of train', () => {
  const listed = /^Losses .*?: (.*?);/.exec(lineOf('Losses'))?.[1] ?? '';
  expect(listed.replaceAll(/ \([^)]*\)/g, '').split(', ')).toEqual([...objectiveNames]);
  const rows = [...read('docs/preferences.md').matchAll(/^\| `(\w+)`\s+\| `?[a-z]+, /gm)].map(([, name]) => name);
  expect(new Set(rows)).toEqual(new Set(objectiveNames.filter((name) => name !== 'sft')));
  for (const name of objectiveNames) expect(helpOf('train')).toContain(name);
});

test('families: README, llms.txt and their page name each', () => {
  const telling = { readme: read('README.md').split('## From text')[0] ?? '', llms: llms.split('\n## ')[0] ?? '' };
  for (const [place, text] of Object.entries(telling)) {
    const known = (names: string): boolean =>
      names.split(/, | and /).some((name) => text.includes(name.replace(/[ -]\d.*| \(.*/, '')));
    expect({
      place,
      missing: families.filter(({ name, models }) => !known(`${name}, ${models}`)).map(({ name }) => name),
    }).toEqual({ place, missing: [] });
  }
  const page = read('docs/models.md');
  expect(families.filter(({ name }) => !page.includes(`| ${name} `))).toEqual([]);
});

test.each([
  ['optimizers', optimizers, 'train'],
  ['schedules', schedules, 'train'],
  ['inits of LoRA', loraInits, 'train'],
  ['metrics', metricNames, 'eval'],
  ['ways of combining', combineMethods, 'combine'],
] as const)('%s: help and the page of the command line name each', (_, names, command) => {
  const page = read('docs/cli.md');
  const help = helpOf(command);
  expect(names.filter((name) => !help.includes(name) || !page.includes(name))).toEqual([]);
});

test('exports: help, the page and the guide name each engine', () => {
  for (const name of ['TRL', 'axolotl', 'mlx-lm', 'LLaMA-Factory']) {
    expect(helpOf('export')).toContain(name);
    expect(read('docs/guides/otherTools.md')).toContain(name);
  }
});
