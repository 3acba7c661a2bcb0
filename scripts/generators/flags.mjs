// The tables of flags in docs/cli.md, from the command line's own declarations.
import { importSource } from '../lib/importSource.mjs';
import { withSection } from '../lib/section.mjs';

const page = 'docs/cli.md';

/** In the order of the page. */
export const commands = [
  'train',
  'init',
  'eval',
  'predict',
  'generate',
  'chat',
  'data',
  'merge',
  'combine',
  'inspect',
  'spectrum',
  'intrinsic',
  'compare',
  'sweep',
  'worker',
  'quantize',
  'convert',
  'export',
  'plan',
  'profile',
];

/** Flags of every command, which have a table of their own. */
const common = new Set(['--device', '--json']);

/** One generator for each table: each reads what the one before has written. */
export const flagTables = commands.map((name) => async () => ({
  path: page,
  text: withSection(page, name, [['flag', 'default', ''], ...(await flagsOf(name))]),
}));

/** The command line, made once. */
let program;

/** @param {string} name */
async function flagsOf(name) {
  program ??= (await importSource('packages/lowrank/src/cli/program.ts')).makeProgram({});
  const command = program.commands.find((each) => each.name() === name);
  return command.options.filter(({ long }) => !common.has(long)).map(rowOf);
}

/** @param {any} option */
function rowOf(option) {
  const { flags, description, defaultValue, see } = option;
  const [, text = description, words] = /^(.*?)(?: \(default: (.*)\))?$/s.exec(description) ?? [];
  const given = option.negate || defaultValue === undefined || defaultValue === false ? words : shown(defaultValue);
  const more = see === undefined ? '' : `; [more](${see})`;
  return [`\`${flags}\``, given ?? (option.mandatory || option.needed ? 'required' : ''), `${text}${more}`].map(cell);
}

function shown(value) {
  return Array.isArray(value) ? value.join(',') : String(value);
}

function cell(text) {
  return text
    .replaceAll('|', '\\|')
    .replaceAll(/(?<!`)<(\w[^>]*)>(?!`)/g, (all) => (text.startsWith('`') ? all : `\`${all}\``));
}
