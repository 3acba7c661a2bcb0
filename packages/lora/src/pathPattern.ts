import { LowrankError } from '@lowrank/errors';
import { parsePattern } from './pattern/parse.js';
import { plainEnd } from './pattern/plainEnd.js';
import type { PatternProgram } from './pattern/program.js';
import { compileProgram } from './pattern/program.js';
import type { PatternMatch } from './pattern/run.js';
import { PatternSubject } from './pattern/run.js';
import { PatternError } from './pattern/syntax.js';

/**
 * How PEFT puts a pattern of a configuration into a larger one, and matches that with a module's path:
 *
 * - `whole`: `target_modules` and `exclude_modules` that are strings, the whole path (`re.fullmatch`);
 * - `end`: keys of `rank_pattern` and `alpha_pattern`, the end of a path (`get_pattern_key`);
 * - `inside`: `modules_to_save`, a module on the way to a path;
 * - `layer`: `layers_pattern`, what stands before the number of a layer.
 */
export type PatternUse = 'whole' | 'end' | 'inside' | 'layer';

const frames: Readonly<Record<PatternUse, (pattern: string) => string>> = {
  whole: (pattern) => pattern,
  end: (pattern) => `(.*\\.)?(${pattern})$`,
  inside: (pattern) => `(^|.*\\.)${pattern}($|\\..*)`,
  layer: (pattern) => `(?:^|.*?\\.)${pattern}\\.(?P<idx>\\d+)\\.`,
};

/** Nobody writes longer patterns by hand. */
const longestPattern = 10_000;

/** As many as a model has layers and more; a configuration may name each of them. */
const keptPatterns = 4096;
const kept = new Map<string, PathPattern>();

/**
 * A pattern of an adapter's configuration, as Python reads it: PEFT's patterns are Python's regular expressions, which
 * differ from JavaScript's (`\Z`, `\A`, `{,2}`, `(?i)`, `(?P<name>…)`, `$`, what `\w` is). All of Python's syntax is
 * there but conditions `(?(1)…)` and characters by name `\N{…}`, which are refused. A match takes time in the product
 * of the lengths of pattern and path, whatever the pattern; with references to groups at most a second or so.
 *
 * @throws LowrankError `lora.config` for one that Python cannot read, that is too long, or that takes too long
 */
export class PathPattern {
  private readonly plain: ((path: string) => boolean) | undefined;
  private compiled: { readonly program: PatternProgram; readonly names: ReadonlyMap<string, number> } | undefined;

  private constructor(
    private readonly pattern: string,
    private readonly use: PatternUse,
  ) {
    if (pattern.length > longestPattern)
      this.guarded(() => {
        throw new PatternError(`${pattern.length} characters`);
      });
    this.plain = use === 'end' ? plainEnd(pattern) : undefined;
    if (this.plain === undefined) this.parts();
  }

  static of(pattern: string, use: PatternUse): PathPattern {
    const key = `${use} ${pattern}`;
    const found = kept.get(key) ?? new PathPattern(pattern, use);
    if (kept.size >= keptPatterns) kept.clear();
    kept.set(key, found);
    return found;
  }

  /** So plain that a model may have one for each of its layers. */
  get isPlain(): boolean {
    return this.plain !== undefined;
  }

  matches(path: string): boolean {
    // Characters beyond 16 bits count as one, and a dot does not match a line end.
    if (this.plain !== undefined && /^[\x20-\x7e]*$/.test(path)) return this.plain(path);
    return this.match(path) !== undefined;
  }

  /** The text that a named group has matched. */
  group(path: string, name: string): string | undefined {
    const match = this.match(path);
    const index = this.parts().names.get(name) ?? NaN;
    const [start, end] = [match?.slots[2 * index], match?.slots[2 * index + 1]];
    return start === undefined || end === undefined ? undefined : Array.from(path).slice(start, end).join('');
  }

  private match(path: string): PatternMatch | undefined {
    const text = Array.from(path, (character) => character.codePointAt(0) ?? 0);
    return this.guarded(() => new PatternSubject(text).match(this.parts().program, 0, { full: this.use === 'whole' }));
  }

  private parts(): NonNullable<PathPattern['compiled']> {
    return (this.compiled ??= this.guarded(() => {
      const { syntax, names } = parsePattern(frames[this.use](this.pattern));
      return { program: compileProgram(syntax), names };
    }));
  }

  private guarded<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (cause) {
      if (!(cause instanceof PatternError)) throw cause;
      const shown = this.pattern.length > 100 ? `${this.pattern.slice(0, 97)}...` : this.pattern;
      throw new LowrankError({
        code: 'lora.config',
        what: `the module pattern ${JSON.stringify(shown)}`,
        expected: 'a regular expression of Python, as PEFT uses it',
        got: cause.message,
        cause,
      });
    }
  }
}
