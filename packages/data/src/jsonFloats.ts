import { Float } from './jinja/float.js';

/**
 * `JSON.parse`, but numbers that Python would read as floats and JavaScript as whole ones (`1.0`, `1e3`) stay floats: a
 * chat template writes them so.
 */
export function parseJsonWithFloats(text: string): unknown {
  const parsed: unknown = JSON.parse(text);
  if (!/\d\.0|\d[eE]/.test(text) || depthOf(text) > deepest) return parsed;
  return new Reader(text).read();
}

/** Deeper than any chat, and less than what fills the stack. */
const deepest = 500;

/** An upper bound of how deep brackets lie within each other: those within strings count too. */
function depthOf(text: string): number {
  let [depth, most] = [0, 0];
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === 0x5b || unit === 0x7b) most = Math.max(most, ++depth);
    else if ((unit === 0x5d || unit === 0x7d) && depth > 0) depth--;
  }
  return most;
}

/** Reads JSON that is known to be right. */
class Reader {
  #at = 0;

  constructor(readonly text: string) {}

  read(): unknown {
    const start = this.#skip();
    const first = this.text.charAt(start);
    let value: unknown;
    if (first === '{') value = this.#object();
    else if (first === '[') value = this.#list();
    else if (first === '"') value = this.#string();
    else value = this.#literal();
    return value;
  }

  #skip(): number {
    while (/[\s]/.test(this.text.charAt(this.#at))) this.#at++;
    return this.#at;
  }

  #object(): Record<string, unknown> {
    const entries: [string, unknown][] = [];
    this.#at++;
    while (this.text.charAt(this.#skip()) !== '}') {
      if (this.text.charAt(this.#at) === ',') this.#at++;
      this.#skip();
      const key = this.#string();
      this.#skip();
      this.#at++;
      entries.push([key, this.read()]);
    }
    this.#at++;
    return Object.fromEntries(entries);
  }

  #list(): unknown[] {
    const items: unknown[] = [];
    this.#at++;
    while (this.text.charAt(this.#skip()) !== ']') {
      if (this.text.charAt(this.#at) === ',') this.#at++;
      items.push(this.read());
    }
    this.#at++;
    return items;
  }

  #string(): string {
    const start = this.#at;
    for (this.#at++; this.text.charAt(this.#at) !== '"'; this.#at++)
      if (this.text.charAt(this.#at) === '\\') this.#at++;
    this.#at++;
    return JSON.parse(this.text.slice(start, this.#at)) as string;
  }

  #literal(): unknown {
    const start = this.#at;
    while (/[-+.\w]/.test(this.text.charAt(this.#at))) this.#at++;
    const literal = this.text.slice(start, this.#at);
    const value = JSON.parse(literal) as unknown;
    return typeof value === 'number' && Number.isInteger(value) && /[.eE]/.test(literal) ? new Float(value) : value;
  }
}
