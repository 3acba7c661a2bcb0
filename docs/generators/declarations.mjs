// Declarations as a reader of an API wants them: the source's own text, with comments of members and without bodies.
import ts from 'typescript';

const modifiers = /^(?:export|default|declare|async|public|override)\s+/;

/**
 * @param {readonly ts.Declaration[]} declarations of one symbol
 * @param {ts.TypeChecker} checker
 * @returns {string} TypeScript
 */
export function declarationText(declarations, checker) {
  const functions = declarations.filter((node) => ts.isFunctionDeclaration(node));
  const overloads = functions.filter((node) => node.body === undefined);
  if (functions.length > 0)
    return (overloads.length > 0 ? overloads : functions).map((node) => headOf(node, checker)).join('\n');
  return declarations.map((node) => oneText(node, checker)).join('\n');
}

/** @param {ts.Declaration} node @param {ts.TypeChecker} checker */
function oneText(node, checker) {
  if (ts.isClassDeclaration(node)) return classText(node, checker);
  if (ts.isVariableDeclaration(node)) return variableText(node, checker);
  return dedented(plain(node.getText()), node);
}

/** @param {ts.ClassDeclaration} node @param {ts.TypeChecker} checker */
function classText(node, checker) {
  const source = node.getSourceFile();
  const head = plain(source.text.slice(node.getStart(), node.members.pos)).trim();
  const shown = node.members.filter(isPublic).flatMap((member) => memberText(member, checker) ?? []);
  return `${head}\n${shown.map((text) => text.replaceAll(/^/gm, '  ')).join('\n')}\n}`;
}

/** @param {ts.ClassElement} member */
function isPublic(member) {
  if (member.name !== undefined && ts.isPrivateIdentifier(member.name)) return false;
  const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected;
  if ((ts.getCombinedModifierFlags(member) & hidden) !== 0) return false;
  return !ts.getJSDocTags(member).some((tag) => tag.tagName.text === 'internal');
}

/** @param {ts.ClassElement} member @param {ts.TypeChecker} checker */
function memberText(member, checker) {
  if (ts.isClassStaticBlockDeclaration(member) || ts.isSemicolonClassElement(member)) return undefined;
  const comment = commentOf(member);
  const text = ts.isPropertyDeclaration(member) ? propertyText(member, checker) : headOf(member, checker);
  return `${comment}${text}`;
}

/** A member's own docstring, its indentation taken off. @param {ts.Node} node */
function commentOf(node) {
  const [comment] = ts.getJSDocCommentsAndTags(node).filter((each) => ts.isJSDoc(each));
  return comment === undefined ? '' : `${comment.getText().replaceAll(/\n\s*/g, '\n ')}\n`;
}

/** @param {ts.PropertyDeclaration} node @param {ts.TypeChecker} checker */
function propertyText(node, checker) {
  const words = ['static', 'readonly'].filter((word) => node.modifiers?.some((each) => each.getText() === word));
  const type = node.type?.getText() ?? typeText(node, checker);
  return `${[...words, node.name.getText()].join(' ')}${node.questionToken === undefined ? '' : '?'}: ${type};`;
}

/** A function, method, constructor or accessor without its body. @param {any} node @param {ts.TypeChecker} checker */
function headOf(node, checker) {
  const source = node.getSourceFile();
  const text = source.text.slice(node.getStart(), node.body?.pos ?? node.end);
  const head = dedented(plain(text).trim().replace(/;$/, ''), node).replaceAll(
    /\b(?:private|protected|public) (?:readonly )?(?=\w+[?:])/g,
    '',
  );
  const typed = node.type !== undefined || ts.isConstructorDeclaration(node) || ts.isSetAccessor(node);
  return `${head}${typed ? '' : `: ${returnText(node, checker)}`};`;
}

/** @param {ts.VariableDeclaration} node @param {ts.TypeChecker} checker */
function variableText(node, checker) {
  const made = node.initializer;
  if (node.type !== undefined) return `const ${node.name.getText()}: ${dedented(node.type.getText(), node)};`;
  if (made !== undefined && ts.isArrowFunction(made)) {
    const head = made.getText().slice(0, made.equalsGreaterThanToken.getStart() - made.getStart());
    const typed = made.type !== undefined ? head.trim() : `${head.trim()}: ${returnText(made, checker)}`;
    return `function ${node.name.getText()}${typed.replace(/^async /, '')};`;
  }
  return `const ${node.name.getText()}: ${typeText(node, checker)};`;
}

/** @param {ts.Node} node @param {ts.TypeChecker} checker */
function typeText(node, checker) {
  const text = checker.typeToString(
    checker.getTypeAtLocation(node),
    node,
    ts.TypeFormatFlags.UseAliasDefinedOutsideCurrentScope,
  );
  return text.replaceAll(/import\("[^"]*"\)\./g, '');
}

/** @param {ts.SignatureDeclaration} node @param {ts.TypeChecker} checker */
function returnText(node, checker) {
  const signature = checker.getSignatureFromDeclaration(node);
  if (signature === undefined) return 'unknown';
  return checker.typeToString(signature.getReturnType(), node).replaceAll(/import\("[^"]*"\)\./g, '');
}

/** @param {string} text */
function plain(text) {
  let rest = text;
  while (modifiers.test(rest)) rest = rest.replace(modifiers, '');
  return rest;
}

/** Without the indentation of the line on which it begins. @param {string} text @param {ts.Node} node */
function dedented(text, node) {
  const source = node.getSourceFile();
  const { line } = source.getLineAndCharacterOfPosition(node.getStart());
  const [indent = ''] = /^ */.exec(source.text.slice(source.getPositionOfLineAndCharacter(line, 0))) ?? [];
  return text.replaceAll(new RegExp(`\n${indent}`, 'g'), '\n');
}

/**
 * The symbols of types that a declaration names.
 *
 * @param {readonly ts.Declaration[]} declarations
 * @param {ts.TypeChecker} checker
 * @returns {Set<ts.Symbol>}
 */
export function namedTypes(declarations, checker) {
  const found = new Set();
  const visit = (/** @type {ts.Node} */ node) => {
    if (ts.isBlock(node)) return;
    const name = ts.isTypeReferenceNode(node)
      ? node.typeName
      : ts.isExpressionWithTypeArguments(node)
        ? node.expression
        : undefined;
    const symbol = name === undefined ? undefined : checker.getSymbolAtLocation(name);
    if (symbol !== undefined)
      found.add(symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol);
    ts.forEachChild(node, visit);
  };
  for (const node of declarations) visit(node);
  return found;
}
