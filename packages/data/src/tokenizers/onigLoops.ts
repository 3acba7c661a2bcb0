/** One part of a sequence, as far as it tells how long a match may take. */
export interface SequencePart {
  /**
   * Repeats without a bound that the same characters go through one after another, and whose choices can be taken back.
   */
  readonly loops: number;
  /** The expression that is repeated, where the part is one repeat. */
  readonly loop?: string | undefined;
  /** May match nothing. */
  readonly isNullable?: boolean;
  /** Matches no characters, and may fail. */
  readonly isAssertion?: boolean;
  readonly source: string;
}

/**
 * How many repeats one stretch of characters goes through, at most, and how many before a part that may fail. With n of
 * those before it a text is tried in about length to the power of n ways.
 */
export function loopsOf(parts: readonly SequencePart[]): { loops: number; afterLoops: number } {
  const chains: number[] = [];
  let afterLoops = 0;
  parts.forEach((part, at) => {
    const mayFail = part.isAssertion === true || part.isNullable !== true;
    if (mayFail) afterLoops = Math.max(afterLoops, ...chains);
    let before = 0;
    for (let from = at - 1; part.loops > 0 && from >= 0; from--) {
      const other = parts[from];
      if (other === undefined) break;
      const shared = sharesCharacters(other, part);
      if (other.loops > 0 && shared) before = Math.max(before, chains[from] ?? 0);
      // What is between them keeps them apart.
      if (!shared && other.isNullable !== true && other.isAssertion !== true) break;
    }
    chains.push(part.loops === 0 ? 0 : part.loops + before);
  });
  return { loops: Math.max(0, ...chains), afterLoops };
}

function sharesCharacters(one: SequencePart, other: SequencePart): boolean {
  return mayOverlap([[one.loop ?? one.source], [other.loop ?? other.source]]);
}

/** Whether alternatives may match the same text: but for single characters and classes that share none, they may. */
export function mayOverlap(branches: readonly (readonly string[])[]): boolean {
  if (branches.length === 1) return false;
  const single = branches.map((atoms) => (atoms.length === 1 ? matcherOf(atoms[0] ?? '') : undefined));
  return (
    single.some((one) => one === undefined) ||
    samples.some((each) => single.filter((one) => one?.test(each)).length > 1)
  );
}

/** An expression that matches one character alone, tried over the samples. */
function matcherOf(source: string): RegExp | undefined {
  const isClass = /^\[(?:[^[\]]|\[[^[\]]*\])*\]$/.test(source) || /^(?:[A-Za-z0-9]|\\u\{[0-9a-f]+\})$/.test(source);
  return isClass ? new RegExp(`^${source}$`, 'v') : undefined;
}

const samples = Array.from({ length: 0x3000 }, (_, code) => String.fromCharCode(code)).concat(
  Array.from('日語한글Ａ🙂\u{20000}'),
);
