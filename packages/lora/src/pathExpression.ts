import { LowrankError } from '@lowrank/errors';

/**
 * A regular expression of a configuration, written for Python, that is to match a module path from its beginning to its
 * end.
 *
 * @param before what may stand before it in the path
 * @throws LowrankError `lora.config` where it is none
 */
export function pathExpression(expression: string, before = ''): RegExp {
  try {
    return new RegExp(`^${before}(?:${expression.replaceAll('(?P<', '(?<')})$`);
  } catch (cause) {
    throw new LowrankError({
      code: 'lora.config',
      what: `the module pattern ${JSON.stringify(expression)}`,
      expected: 'a regular expression',
      got: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}
