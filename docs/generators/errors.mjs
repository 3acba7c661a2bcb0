// Every error code with what its errors say, from the places in the sources that make them: `docs/errors.md`.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { importSource } from '../../scripts/lib/importSource.mjs';
import { root } from '../../scripts/lib/paths.mjs';

/**
 * @typedef {object} Case a place that makes an error
 * @property {string} what @property {string | undefined} expected @property {string | undefined} remedy in Markdown
 * @property {string} path @property {number} line
 */

const repository = 'https://github.com/lowrank/lowrank/blob/main';
const codePattern = /^[a-z][a-zA-Z]*(?:\.[a-zA-Z][a-zA-Z-]*)?$/;

/**
 * All codes by name, each with its cases.
 *
 * @returns {Map<string, Case[]>}
 */
export function readErrors() {
  /** @type {Map<string, Case[]>} */
  const cases = new Map();
  for (const path of sourcePaths()) {
    const text = readFileSync(join(root, path), 'utf8');
    if (!/\bcode\b|\.[a-zA-Z-]+'/.test(text)) continue;
    const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
    const helpers = helpersOf(file);
    visit(file, (node) => {
      for (const { code, complaint } of errorsAt(node, helpers)) {
        const { line } = file.getLineAndCharacterOfPosition(node.getStart());
        cases.set(code, [...(cases.get(code) ?? []), { ...complaint, path, line: line + 1 }]);
      }
    });
  }
  return new Map([...cases].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function sourcePaths() {
  return readdirSync(join(root, 'packages')).flatMap((name) =>
    readdirSync(join(root, 'packages', name, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts') && !/\.test\.ts$|(^|\/)testing|testWorker|assembly\//.test(path))
      .map((path) => `packages/${name}/src/${path}`),
  );
}

/** @param {ts.Node} node @param {(node: ts.Node) => void} see */
function visit(node, see) {
  see(node);
  ts.forEachChild(node, (child) => visit(child, see));
}

/**
 * Functions whose errors take their code from a parameter: `bad(code, what, expected, got)`.
 *
 * @param {ts.SourceFile} file
 * @returns {Map<string, { parameters: ts.NodeArray<ts.ParameterDeclaration>, complaint: ts.ObjectLiteralExpression }>}
 */
function helpersOf(file) {
  const helpers = new Map();
  visit(file, (node) => {
    if (!ts.isObjectLiteralExpression(node)) return;
    if (!node.properties.some((each) => ts.isShorthandPropertyAssignment(each) && each.name.text === 'code')) return;
    const owner = ts.findAncestor(node, ts.isFunctionDeclaration);
    if (owner?.name !== undefined) helpers.set(owner.name.text, { parameters: owner.parameters, complaint: node });
  });
  return helpers;
}

/** @param {ts.Node} node */
function* errorsAt(node, helpers) {
  if (ts.isObjectLiteralExpression(node)) {
    const code = property(node, 'code');
    for (const name of code === undefined ? [] : codesIn(code)) yield { code: name, complaint: complaintOf(node) };
    return;
  }
  if (!ts.isCallExpression(node) && !ts.isNewExpression(node)) return;
  const [first, ...rest] = node.arguments ?? [];
  if (first === undefined || !ts.isStringLiteral(first) || !/^[a-z][a-zA-Z]*\.[a-zA-Z-]+$/.test(first.text)) return;
  const helper = helpers.get(node.expression.getText());
  if (helper !== undefined) {
    const given = new Map(helper.parameters.map(({ name }, at) => [name.getText(), [first, ...rest][at]]));
    yield { code: first.text, complaint: complaintOf(helper.complaint, given) };
  } else if (ts.isNewExpression(node)) {
    yield { code: first.text, complaint: { what: '', expected: phrase(rest[0]), remedy: undefined } };
  }
}

/** The codes that an expression may be. @param {ts.Expression} node @returns {string[]} */
function codesIn(node) {
  if (ts.isStringLiteral(node)) return codePattern.test(node.text) ? [node.text] : [];
  if (ts.isConditionalExpression(node)) return [...codesIn(node.whenTrue), ...codesIn(node.whenFalse)];
  // The command line makes codes of the kinds of text that settings have.
  if (node.getText() === '`cli.${kind}`') return textKinds().map((kind) => `cli.${kind}`);
  return [];
}

/** `kind` of the settings whose text has a form of its own. */
function textKinds() {
  const forms = sourcePaths().flatMap((path) => [
    ...readFileSync(join(root, path), 'utf8').matchAll(/text: \{\n(?:.*\n){1,6}?\s+kind: '(\w+)'/g),
  ]);
  return [...new Set(forms.map(([, kind = '']) => kind))];
}

/** @param {ts.ObjectLiteralExpression} node @param {string} name */
function property(node, name) {
  const found = node.properties.find((each) => each.name?.getText() === name);
  if (found === undefined) return undefined;
  if (ts.isPropertyAssignment(found)) return found.initializer;
  return ts.isShorthandPropertyAssignment(found) ? found.name : undefined;
}

/** @param {ts.ObjectLiteralExpression} node @param {Map<string, ts.Expression | undefined>} [given] */
function complaintOf(node, given) {
  const subject = phrase(property(node, 'subject'), given);
  if (subject !== undefined)
    return {
      what: subject,
      expected: 'a name that there is, and a value that it takes; what goes together',
      remedy: 'The message names the setting, what it takes, and for an unknown name the nearest there is.',
    };
  const said =
    property(node, 'message') ??
    property(node, 'text') ??
    (ts.isCallExpression(node.parent) ? node.parent.arguments[0] : undefined);
  const [what = phrase(said === node ? undefined : said, given), expected, remedy] = ['what', 'expected', 'remedy'].map(
    (name) => phrase(property(node, name), given),
  );
  const isKnown = expected !== undefined && !/^(?:…|_expected_)$/.test(expected);
  return {
    what: what ?? '',
    expected: isKnown || expected === undefined ? expected : 'what the message names',
    remedy,
  };
}

/**
 * What a part of a message says, with italics for what is known only when it happens.
 *
 * @param {ts.Expression | undefined} node
 * @param {Map<string, ts.Expression | undefined>} [given] arguments by parameter
 * @returns {string | undefined}
 */
function phrase(node, given) {
  if (node === undefined || node.getText() === 'undefined') return undefined;
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return escaped(node.text);
  if (ts.isTemplateExpression(node))
    return [
      escaped(node.head.text),
      ...node.templateSpans.map(
        ({ expression, literal }) => `${inTemplate(expression, given)}${escaped(literal.text)}`,
      ),
    ].join('');
  if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) return phrase(node.body, given);
  if (ts.isParenthesizedExpression(node)) return phrase(node.expression, given);
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken)
    return `${phrase(node.left, given)}${phrase(node.right, given)}`;
  if (ts.isConditionalExpression(node)) {
    const sides = [phrase(node.whenTrue, given), phrase(node.whenFalse, given)].filter((side) => side !== undefined);
    return sides.length === 0 ? undefined : [...new Set(sides)].join(' / ');
  }
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.QuestionQuestionToken)
    return phrase(node.right, given);
  if (ts.isIdentifier(node)) return named(node, given);
  return inTemplate(node, given);
}

/** A name: an argument of the helper, a constant of the file, or a value that is known only when it happens. */
function named(node, given) {
  if (given?.has(node.text)) return phrase(given.get(node.text));
  const constant = constantsOf(node.getSourceFile()).get(node.text);
  if (constant !== undefined && constant !== node) return phrase(constant);
  return `_${words(node.text)}_`;
}

const constants = new WeakMap();

/** The texts that a file gives a name at its top level. @param {ts.SourceFile} file */
function constantsOf(file) {
  if (!constants.has(file)) {
    const found = file.statements
      .filter((each) => ts.isVariableStatement(each))
      .flatMap(({ declarationList }) => declarationList.declarations)
      .filter(
        ({ initializer: made }) =>
          made !== undefined && (ts.isStringLiteral(made) || ts.isTemplateLiteral(made) || ts.isBinaryExpression(made)),
      );
    constants.set(file, new Map(found.map(({ name, initializer }) => [name.getText(), initializer])));
  }
  return constants.get(file);
}

/** @param {ts.Expression} node */
function inTemplate(node, given) {
  if (ts.isIdentifier(node)) return named(node, given);
  if (ts.isPropertyAccessExpression(node)) return `_${words(node.name.text)}_`;
  if (ts.isNumericLiteral(node)) return node.text;
  if (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node) || ts.isConditionalExpression(node))
    return phrase(node, given) ?? '…';
  if (ts.isCallExpression(node) && node.arguments[0] !== undefined) {
    const [first] = node.arguments;
    // `name('useDora')` is the setting as the caller knows it.
    if (ts.isStringLiteral(first) && ts.isIdentifier(node.expression)) return `\`${first.text}\``;
    if (ts.isIdentifier(first) || ts.isPropertyAccessExpression(first)) return inTemplate(first, given);
  }
  return '…';
}

const words = (name) => name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ').toLowerCase();

/** Markdown that shows a text as it is. @param {string} text */
function escaped(text) {
  return text.replaceAll(/[\\*_<|]|\[(?=.*\]\()|\{\{/g, (sign) =>
    sign === '<' ? '&lt;' : sign === '{{' ? '&#123;&#123;' : `\\${sign}`,
  );
}

/** What codes have in common, by the part before the dot. */
const groups = {
  cli: 'The command line and its options',
  cpu: 'The CPU backend',
  data: 'Rows, tokenizers and chat templates',
  export: 'Export to other trainers',
  files: 'Files and folders',
  gguf: 'GGUF',
  lora: 'LoRA and adapter files',
  lowrank: 'The front door',
  methods: 'Methods of fine-tuning',
  metrics: 'Metrics of texts',
  models: 'Models and generation',
  nn: 'Layers',
  output: 'Output folders',
  patch: 'Adapters in a model',
  quant: 'Quantized weights',
  quantize: 'Quantizing a model',
  queue: 'The queue over several machines',
  run: 'Runs and resume',
  safetensors: 'Safetensors files and downloads',
  storage: 'Storage in the browser',
  study: 'Comparisons and sweeps',
  tensor: 'Tensors and plans',
  trainer: 'Training',
  web: 'Addresses',
  webgpu: 'WebGPU',
  worker: 'The worker of a page',
};

/**
 * What to do about codes whose errors do not say it themselves.
 *
 * @returns {Promise<Readonly<Record<string, string>>>}
 */
export async function readRemedies() {
  const { remedies } = await importSource('packages/lowrank/src/cli/remedies.ts');
  return remedies;
}

/** Writes `docs/errors.md`. */
export async function writeErrors() {
  const remedies = await readRemedies();
  const codes = [...readErrors()].filter(([code]) => code !== 'internal');
  const names = [...new Set(codes.map(([code]) => code.split('.')[0]))];
  const sections = names.flatMap((name) => [
    `## ${groups[name] ?? name} {#${name}}`,
    '',
    ...codes
      .filter(([code]) => code.startsWith(`${name}.`))
      .flatMap(([code, cases]) => codeSection(code, cases, remedies[code])),
  ]);
  writeFileSync(join(root, 'docs/errors.md'), [head(codes.length), ...sections].join('\n'));
}

const head = (/** @type {number} */ count) => `---
editLink: false
lastUpdated: false
outline: 2
---

# Errors

Whatever Lowrank refuses, it refuses with one kind of error, \`LowrankError\`: what was looked at, what was
expected, what came, and what to do. \`code\` is stable, so that programs can rely on it; with \`--json\` the
command line prints \`{"error": {"code", "message"}}\`. Here are all ${count} codes, from the places in the source
that throw them; *italics* stand for what only the error itself knows. The command line names the place on this page
after each error.

A code of \`internal\`, or an error that is no \`LowrankError\`, is a defect: please
[report it](https://github.com/lowrank/lowrank/issues).
`;

/**
 * The anchor is the one that the command line's errors name.
 *
 * @param {string} code @param {Case[]} cases @param {string | undefined} remedy of cases that say none themselves
 */
function codeSection(code, cases, remedy) {
  const texts = new Map();
  for (const { what, expected, remedy: own, path, line } of cases) {
    const key = [sentence(what, expected), ...(own === undefined ? [] : [`**Do:** ${own}`])].join('\n  ');
    texts.set(key, [...(texts.get(key) ?? []), `[${path.split('/').at(-1)}](${repository}/${path}#L${line})`]);
  }
  return [
    `### \`${code}\` {#${code.replace('.', '-').toLowerCase()}}`,
    '',
    ...(remedy === undefined ? [] : [`**Do:** ${escaped(remedy)}`, '']),
    ...[...texts].map(([text, places]) => `- ${text} <small>${places.join(', ')}</small>`),
    '',
  ];
}

function sentence(what, expected) {
  if (expected === undefined) return `${what}.`;
  return what === '' ? `Expected: ${expected}.` : `${what}: expected ${expected}.`;
}
