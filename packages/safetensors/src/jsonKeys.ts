/** A key that stands twice in one object, and the keys that lead to that object. */
export interface RepeatedKey {
  readonly key: string;
  readonly path: readonly string[];
}

interface Scope {
  /** Absent in an array. */
  readonly keys: Set<string> | undefined;
  last: string;
}

/**
 * The first key that stands twice in the same object of a JSON text, which `JSON.parse` silently resolves to the last
 * one. The text must already have been parsed without error: only strings and brackets are looked at. Linear in the
 * text's length.
 */
export function repeatedKey(json: string): RepeatedKey | undefined {
  const open: Scope[] = [];
  for (let at = 0; at < json.length; at++) {
    const char = json.charCodeAt(at);
    if (char === 0x7b) open.push({ keys: new Set(), last: '' });
    else if (char === 0x5b) open.push({ keys: undefined, last: '' });
    else if (char === 0x7d || char === 0x5d) open.pop();
    if (char !== 0x22) continue;
    const end = endOfString(json, at);
    const scope = open.at(-1);
    if (scope?.keys !== undefined && colonFollows(json, end)) {
      const key = String(JSON.parse(json.slice(at, end)));
      if (scope.keys.has(key))
        return {
          key,
          path: open
            .slice(0, -1)
            .map(({ last }) => last)
            .filter((name) => name !== ''),
        };
      scope.keys.add(key);
      scope.last = key;
    }
    at = end - 1;
  }
  return undefined;
}

/** One past the closing quote of the string that opens at `start`. */
function endOfString(json: string, start: number): number {
  for (let quote = json.indexOf('"', start + 1); quote >= 0; quote = json.indexOf('"', quote + 1)) {
    let slashes = 0;
    while (json.charCodeAt(quote - 1 - slashes) === 0x5c) slashes++;
    if (slashes % 2 === 0) return quote + 1;
  }
  return json.length;
}

function colonFollows(json: string, index: number): boolean {
  let at = index;
  while (at < json.length && ' \t\r\n'.includes(json.charAt(at))) at++;
  return json.charAt(at) === ':';
}
