import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';

/**
 * @typedef {{ from: string, line: number, name: string, typeOnly: boolean }} Import one import, export-from or import()
 * of a file
 */

/** @param {string} folder @returns {string[]} all TypeScript sources under it */
export function sourcesUnder(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const path = join(folder, name);
      if (name === 'node_modules' || name === 'dist') return [];
      if (statSync(path).isDirectory()) return sourcesUnder(path);
      return /\.[cm]?tsx?$/.test(name) ? [path] : [];
    });
}

/**
 * Every import of a file: `import`, `export … from`, `import()` and `import('…').Type`, read from the syntax tree, so
 * that strings and comments that look like imports do not count.
 *
 * @param {string} path
 * @returns {Import[]}
 */
export function importsOf(path) {
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, false);
  /** @type {Import[]} */
  const found = [];
  const add = (node, specifier, typeOnly) => {
    if (!specifier || !ts.isStringLiteralLike(specifier)) return;
    found.push({
      from: path,
      line: source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1,
      name: specifier.text,
      typeOnly,
    });
  };
  const visit = (node) => {
    if (ts.isImportDeclaration(node)) add(node, node.moduleSpecifier, importsTypesOnly(node.importClause));
    else if (ts.isExportDeclaration(node)) add(node, node.moduleSpecifier, node.isTypeOnly);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node, node.argument.literal, true);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add(node, node.arguments[0], false);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** @param {ts.ImportClause | undefined} clause */
function importsTypesOnly(clause) {
  if (!clause) return false;
  if (clause.isTypeOnly) return true;
  const { name, namedBindings } = clause;
  return (
    !name &&
    !!namedBindings &&
    ts.isNamedImports(namedBindings) &&
    namedBindings.elements.length > 0 &&
    namedBindings.elements.every((e) => e.isTypeOnly)
  );
}

/**
 * @param {string} name @returns {string | undefined} the npm package that a bare specifier names; undefined for
 * relative ones and Node's own
 */
export function packageOf(name) {
  if (name.startsWith('.') || name.startsWith('/') || name.startsWith('node:') || builtinModules.includes(name))
    return undefined;
  return name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');
}

/** @param {Import} entry @returns {string | undefined} the source file that a relative import means */
export function fileOf(entry) {
  if (!entry.name.startsWith('.')) return undefined;
  const base = resolve(dirname(entry.from), entry.name);
  const stem = base.replace(/\.[cm]?js$/, '');
  return [base, `${stem}.ts`, `${stem}.tsx`, join(base, 'index.ts')].find(
    (path) => existsSync(path) && statSync(path).isFile(),
  );
}

/**
 * The cycles of a graph, each once, as the nodes on the way (Tarjan's components, then one way around each).
 *
 * @param {Map<string, readonly string[]>} graph
 * @returns {string[][]}
 */
export function cyclesOf(graph) {
  /** @type {Map<string, { index: number, low: number, onStack: boolean }>} */
  const seen = new Map();
  const stack = [];
  const cycles = [];
  const connect = (node) => {
    const state = { index: seen.size, low: seen.size, onStack: true };
    seen.set(node, state);
    stack.push(node);
    for (const next of graph.get(node) ?? []) {
      const known = seen.get(next);
      if (!known) state.low = Math.min(state.low, connect(next).low);
      else if (known.onStack) state.low = Math.min(state.low, known.index);
    }
    if (state.low === state.index) {
      const component = stack.splice(stack.indexOf(node));
      for (const member of component) seen.get(member).onStack = false;
      if (component.length > 1 || (graph.get(node) ?? []).includes(node))
        cycles.push(wayAround(graph, new Set(component)));
    }
    return state;
  };
  for (const node of graph.keys()) if (!seen.has(node)) connect(node);
  return cycles;
}

/** @param {Map<string, readonly string[]>} graph @param {Set<string>} component */
function wayAround(graph, component) {
  const way = [[...component].sort()[0]];
  for (;;) {
    const next = (graph.get(way.at(-1)) ?? []).find((node) => component.has(node));
    const met = way.indexOf(next);
    way.push(next);
    if (met >= 0) return way.slice(met);
  }
}

/** @param {string} root @param {string} path */
export const show = (root, path) => relative(root, path).replaceAll('\\', '/');
