import { Float, TemplateError, typeName, Undefined } from './values.js';
import type { CallArguments, JinjaValue } from './values.js';

/** Arguments by the names of parameters; `?` behind a name lets it be left out. */
export function bind(callee: string, args: CallArguments, ...parameters: readonly string[]): Map<string, JinjaValue> {
  const bound = new Map<string, JinjaValue>();
  const names = parameters.map((parameter) => parameter.replace('?', ''));
  if (args.positional.length > names.length)
    throw new TemplateError(`${callee} takes ${names.length} arguments, got ${args.positional.length}`);
  args.positional.forEach((value, at) => bound.set(names[at] ?? '', value));
  for (const [name, value] of args.named) {
    if (!names.includes(name) || bound.has(name))
      throw new TemplateError(`${callee} got an unexpected keyword argument '${name}'`);
    bound.set(name, value);
  }
  for (const parameter of parameters)
    if (!parameter.endsWith('?') && !bound.has(parameter)) throw new TemplateError(`${callee} misses '${parameter}'`);
  return bound;
}

export function textArgument(callee: string, value: JinjaValue | undefined): string {
  if (typeof value === 'string') return value;
  if (value instanceof Undefined) value.fail();
  throw new TemplateError(`${callee}: a str is wanted, not ${typeName(value ?? null)}`);
}

export function wholeArgument(callee: string, value: JinjaValue | undefined, fallback?: number): number {
  if (value === undefined && fallback !== undefined) return fallback;
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (value instanceof Undefined) value.fail();
  throw new TemplateError(
    value instanceof Float
      ? `${callee}: 'float' object cannot be interpreted as an integer`
      : `${callee}: an integer is wanted, not ${typeName(value ?? null)}`,
  );
}
