/** A shader's text, taken apart: what stands at module scope, and main. */
export interface ShaderText {
  /** main's, but for @compute: `@workgroup_size(64)`, with `@subgroup_size(32)` where a kernel asks for it. */
  readonly attributes: string;
  /** main's parameters. */
  readonly builtins: readonly { readonly builtin: string; readonly name: string; readonly type: string }[];
  readonly declarations: readonly string[];
  /** main's body, without its braces. */
  readonly body: string;
}

const entry = /@compute ((?:@\w+\([^)]*\)\s+)+)fn main\(([\s\S]*?)\) \{/;
const parameter = /@builtin\((\w+)\) (\w+): ([\w<>]+)/g;

/** Takes a shader apart, bindings and directives not included; undefined if it is not of the usual form. */
export function splitShader(code: string): ShaderText | undefined {
  const found = entry.exec(code);
  if (found === null) return undefined;
  const [head, attributes = '', parameters = ''] = found;
  const start = found.index + head.length;
  const end = closing(code, start - 1);
  return {
    attributes: attributes.trim(),
    builtins: [...parameters.matchAll(parameter)].map(([, builtin = '', name = '', type = '']) => ({
      builtin,
      name,
      type,
    })),
    declarations: declarationsOf(code.slice(0, found.index) + code.slice(end + 1)),
    body: code.slice(start, end),
  };
}

/** The bracket that closes the one at `open`. */
export function closing(code: string, open: number): number {
  const [left = '', right = ''] = code[open] === '{' ? '{}' : code[open] === '[' ? '[]' : '()';
  let depth = 0;
  for (let at = open; at < code.length; at++) {
    if (code[at] === left) depth++;
    if (code[at] === right && --depth === 0) return at;
  }
  return code.length;
}

function declarationsOf(code: string): string[] {
  const declarations: string[] = [];
  let start = 0;
  for (let at = 0; at < code.length; at++) {
    if (code[at] === '{') at = closing(code, at);
    if (code[at] !== ';' && code[at] !== '}') continue;
    declarations.push(code.slice(start, at + 1).trim());
    start = at + 1;
  }
  return declarations.filter((declaration) => declaration !== '' && declaration !== ';');
}

function nameOf(declaration: string): string {
  return /(?:fn|var(?:<[^>]*>)?|const|struct|alias|override)\s+(\w+)/.exec(declaration)?.[1] ?? '';
}

/**
 * The members' declarations in one shader: what is the same word for word is there once, and of two different ones of a
 * name, with all that mentions it, the later gets another name.
 */
export function shareDeclarations(members: readonly ShaderText[]): {
  declarations: string[];
  members: ShaderText[];
} {
  const known = new Map<string, string>();
  const renamed = members.map((member, at): ShaderText => {
    const named = member.declarations.map((text) => ({ name: nameOf(text), text }));
    const changes = new Set(
      named.flatMap(({ name, text }) => (known.has(name) && known.get(name) !== text ? [name] : [])),
    );
    const mentions = (text: string): boolean => [...changes].some((name) => new RegExp(`\\b${name}\\b`).test(text));
    for (let before = -1; before !== changes.size;) {
      before = changes.size;
      for (const { name, text } of named) if (mentions(text)) changes.add(name);
    }
    const rename = (text: string): string =>
      [...changes].reduce((result, name) => result.replaceAll(new RegExp(`\\b${name}\\b`, 'g'), `${name}_${at}`), text);
    const declarations = member.declarations.map(rename);
    for (const text of declarations) known.set(nameOf(text), text);
    return { ...member, declarations, body: rename(member.body) };
  });
  return { declarations: [...known.values()], members: renamed };
}
