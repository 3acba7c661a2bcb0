/** Letters, digits, `_`, `-` and dots: what machines write, a pattern for each layer of a model. */
const plain = /^\^?(?:[A-Za-z0-9_-]|\\?\.)+$/;

/**
 * A test for `(.*\.)?(pattern)$` where the pattern is so plain that it needs no engine; undefined for others. A dot
 * matches any character, `\.` itself. Of paths that hold line ends it is not to be asked.
 */
export function plainEnd(pattern: string): ((path: string) => boolean) | undefined {
  if (!plain.test(pattern)) return undefined;
  const isWhole = pattern.startsWith('^');
  const letters = (isWhole ? pattern.slice(1) : pattern).replaceAll('\\.', '/');
  return (path) => {
    const from = path.length - letters.length;
    if (from < 0 || (from > 0 && (isWhole || path[from - 1] !== '.'))) return false;
    for (let at = letters.length - 1; at >= 0; at--) {
      const [wanted, found] = [letters[at], path[from + at]];
      if (wanted !== '.' && found !== (wanted === '/' ? '.' : wanted)) return false;
    }
    return true;
  };
}
