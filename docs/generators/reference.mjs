// The API reference, from the docstrings of what each package exports: a page for each entry that programs import.
// TypeDoc reads comments and exports; the pages show declarations as the sources write them.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Application, Converter, ReflectionKind } from 'typedoc';
import { root } from '../../scripts/lib/paths.mjs';
import { entries } from './entries.mjs';
import { readErrors } from './errors.mjs';
import { declarationText, namedTypes } from './declarations.mjs';

const folder = join(root, 'docs/reference');
/** An error's code in a docstring. */
const errorCode = new RegExp(`^\`(?:${[...readErrors().keys()].join('|').replaceAll('.', '\\.')})\`$`);
const repository = 'https://github.com/lowrank/lowrank/blob/main';

/**
 * @typedef {import('./entries.mjs').Entry} Entry
 * @typedef {import('typedoc').DeclarationReflection} Reflection
 * @typedef {{ text: string, types: Set<import('typescript').Symbol>, path: string, line: number,
 *   symbol: import('typescript').Symbol }} Declared
 * @typedef {{ name: string, kind: string, reflection: Reflection, declared: Declared }} Export
 */

/**
 * What each entry exports, with its declaration.
 *
 * @returns {Promise<{ entry: Entry, exports: Export[] }[]>}
 */
export async function readExports() {
  const sources = entries();
  const app = await Application.bootstrapWithPlugins({
    entryPoints: sources.map(({ source }) => source),
    tsconfig: join(root, 'docs/tsconfig.reference.json'),
    // The types are checked elsewhere.
    skipErrorChecking: true,
    excludeInternal: true,
    excludePrivate: true,
    readme: 'none',
    logLevel: 'Warn',
  });
  /** @type {Map<import('typedoc').Reflection, Declared>} */
  const declared = new Map();
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    const symbol = context.getSymbolFromReflection(reflection);
    const nodes = symbol?.declarations ?? [];
    if (nodes.length === 0 || !reflection.parent?.kindOf(ReflectionKind.SomeModule)) return;
    const source = nodes[0].getSourceFile();
    declared.set(reflection, {
      text: declarationText(nodes, context.checker),
      types: namedTypes(nodes, context.checker),
      path: relative(root, source.fileName),
      line: source.getLineAndCharacterOfPosition(nodes[0].getStart()).line + 1,
      symbol,
    });
  });
  const project = await app.convert();
  if (project === undefined) throw new Error('the reference could not be made: see above');
  return (project.children ?? []).map((module) => moduleExports(module, { sources, declared }));
}

/** @param {Reflection} module @param {{ sources: Entry[], declared: Map<any, Declared> }} known */
function moduleExports(module, { sources, declared }) {
  const path = join(root, 'packages', module.name.replace(/^packages\//, ''));
  const entry = sources.find(({ source }) => source === `${path}.ts` || source === `${path}/index.ts`);
  if (entry === undefined) throw new Error(`${module.name} is no entry of a package`);
  const exports = (module.children ?? []).map((each) => {
    const reflection = each.isReference() ? each.getTargetReflectionDeep() : each;
    const found = declared.get(reflection);
    if (found === undefined) throw new Error(`${entry.name}: ${each.name} has no declaration`);
    return { name: each.name, kind: kindOf(reflection), reflection, declared: found };
  });
  return { entry, exports };
}

/** @param {Reflection} reflection */
function kindOf(reflection) {
  if (reflection.kindOf(ReflectionKind.Function)) return 'Functions';
  if (reflection.kindOf(ReflectionKind.Class)) return 'Classes';
  if (reflection.kindOf(ReflectionKind.Variable)) return 'Constants';
  return 'Types';
}

/** The comment of an export, wherever TypeDoc keeps it. @param {Reflection} reflection */
export function commentsOf(reflection) {
  return [reflection, ...(reflection.signatures ?? [])].flatMap(({ comment }) => comment ?? []);
}

/**
 * Writes the pages into `docs/reference`.
 *
 * @returns {Promise<{ exports: number, undocumented: string[] }>} how many there are, and which say nothing
 */
export async function writeReference() {
  const modules = await readExports();
  const places = placesOf(modules);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const module of modules) writeFileSync(join(folder, `${module.entry.page}.md`), pageOf(module, places));
  writeFileSync(join(folder, 'index.md'), indexOf(modules));
  const all = modules.flatMap(({ entry, exports }) => exports.map((each) => ({ ...each, entry })));
  return {
    exports: all.length,
    undocumented: all
      .filter(({ reflection }) => commentsOf(reflection).length === 0)
      .map(({ entry, name }) => `${entry.name}: ${name}`),
  };
}

/** Where the page of each symbol is: that of its own package, the main entry before others. */
function placesOf(modules) {
  const places = new Map();
  const rank = (page, path) =>
    path.startsWith(`packages/${page}/`) ? 0 : path.startsWith(`packages/${page.split('-')[0]}/`) ? 1 : 2;
  for (const { entry, exports } of modules) {
    for (const { name, kind, declared } of exports) {
      const found = { page: entry.page, name, kind, rank: rank(entry.page, declared.path) };
      if ((places.get(declared.symbol)?.rank ?? 3) > found.rank) places.set(declared.symbol, found);
    }
  }
  return places;
}

const kinds = ['Functions', 'Classes', 'Constants', 'Types'];

function pageOf({ entry, exports }, places) {
  const head = [
    '---',
    'editLink: false',
    'lastUpdated: false',
    'outline: [2, 3]',
    '---',
    '',
    `# ${entry.name}`,
    '',
    `\`import { … } from '${entry.name}'\` · [what the package is](/packages/${entry.page.split('-')[0]})`,
    '',
  ];
  const groups = kinds.flatMap((kind) => {
    const members = exports.filter((each) => each.kind === kind).sort((a, b) => (a.name < b.name ? -1 : 1));
    return members.length === 0 ? [] : [`## ${kind}`, '', ...members.flatMap((each) => sectionOf(each, entry, places))];
  });
  return [...head, ...groups].join('\n');
}

function sectionOf({ name, kind, reflection, declared }, entry, places) {
  const heading = [`### ${name} {#${anchorOf(name, kind)}}`, ''];
  const owner = places.get(declared.symbol);
  const comment = commentsOf(reflection)[0];
  const summary = comment === undefined ? [] : [partsText(comment.summary), ''];
  if (owner.page !== entry.page && !entry.page.startsWith('lowrank'))
    return [...heading, ...summary, `Declared by [${owner.page}](./${owner.page}#${anchorOf(owner.name, kind)}).`, ''];
  return [
    ...heading,
    ...summary,
    '```ts',
    declared.text,
    '```',
    '',
    ...tagsOf(comment, reflection),
    `${typesLine(declared, places)}[Source](${repository}/${declared.path}#L${declared.line})`,
    '',
  ];
}

const anchorOf = (name, kind) => (kind === 'Types' ? `type-${name}` : name);

/** Parameters, what comes back, and errors, as far as the docstring says them. */
function tagsOf(comment, reflection) {
  const parameters = (reflection.signatures ?? [])
    .slice(0, 1)
    .flatMap(({ parameters = [] }) => parameters)
    .filter((each) => each.comment !== undefined)
    .map((each) => `- \`${each.name}\`: ${partsText(each.comment.summary)}`);
  const tags = (comment?.blockTags ?? []).filter(({ tag }) => tag !== '@param');
  const words = { '@returns': 'Returns', '@throws': 'Throws' };
  const lines = tags.map(({ tag, content }) => `- ${words[tag] ?? tag.slice(1)}: ${partsText(content)}`);
  return parameters.length + lines.length === 0 ? [] : [...parameters, ...lines, ''];
}

/**
 * Prose for VitePress: angle brackets are no HTML there, and braces are not Vue's.
 *
 * @param {readonly import('typedoc').CommentDisplayPart[]} parts
 */
function partsText(parts) {
  const escaped = (/** @type {string} */ text) => text.replaceAll('<', '&lt;').replaceAll('{{', '&#123;&#123;');
  return parts
    .map(({ kind, text }) => {
      if (kind === 'text') return escaped(text);
      if (errorCode.test(text)) return `[${text}](/errors#${text.slice(1, -1).replace('.', '-').toLowerCase()})`;
      if (kind === 'inline-tag') return `\`${text}\``;
      return text.includes('{{') ? `<code v-pre>${text.replaceAll('`', '').replaceAll('<', '&lt;')}</code>` : text;
    })
    .join('')
    .trim()
    .replaceAll(/(?:^ {4}.*(?:\n|$))+/gm, (code) => `\`\`\`ts\n${code.replaceAll(/^ {4}/gm, '').trimEnd()}\n\`\`\`\n`);
}

function typesLine({ types, symbol }, places) {
  const links = [...types]
    .filter((type) => type !== symbol && places.has(type))
    .map((type) => places.get(type))
    .map(({ page, name, kind }) => `[${name}](./${page}#${anchorOf(name, kind)})`);
  return links.length === 0 ? '' : `Types: ${[...new Set(links)].join(', ')} · `;
}

function indexOf(modules) {
  const rows = modules.map(
    ({ entry, exports }) =>
      `| [\`${entry.name}\`](./${entry.page}) | ${exports.length} | ${exports
        .filter(({ kind }) => kind === 'Functions' || kind === 'Classes')
        .slice(0, 6)
        .map(({ name }) => `\`${name}\``)
        .join(', ')} |`,
  );
  const total = modules.reduce((sum, { exports }) => sum + exports.length, 0);
  return [
    '---',
    'editLink: false',
    '---',
    '',
    '# API reference',
    '',
    `Every export of every package, ${total} in all, from its docstring in the source. Most programs need only`,
    'the first page. The command line has [a page of its own](/cli), and every error code is in [the index](/errors).',
    '',
    '| import from | exports | such as |',
    '| --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
