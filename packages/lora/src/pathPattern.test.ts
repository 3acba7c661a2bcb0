import { readFile } from 'node:fs/promises';
import { isLowrankError } from '@lowrank/errors';
import { describe, expect, test } from 'vitest';
import type { PatternUse } from './pathPattern.js';
import { PathPattern } from './pathPattern.js';

/** What Python's re says (parity/patterns.py): the paths that match, or null for a pattern that it cannot read. */
type Answers = Readonly<Record<Exclude<PatternUse, 'layer'>, string | null> & { layer: readonly string[] | null }>;

const golden = JSON.parse(
  await readFile(
    process.env['LOWRANK_PATTERNS'] ?? new URL('../../../parity/golden/patterns.json', import.meta.url),
    'utf8',
  ),
) as { paths: string[]; patterns: [string, Answers][] };

/** What Lowrank refuses and Python takes: too large, or syntax that it names. */
const refused = new Set(['a{100000}']);

function answer(pattern: string, use: PatternUse): string | string[] | null {
  try {
    const compiled = PathPattern.of(pattern, use);
    if (use === 'layer') return golden.paths.map((path) => compiled.group(path, 'idx') ?? '-');
    return golden.paths.map((path) => (compiled.matches(path) ? '1' : '0')).join('');
  } catch (error) {
    if (!isLowrankError(error)) throw error;
    return null;
  }
}

test("every pattern matches what Python's re matches, in each frame of PEFT's", () => {
  const wrong = golden.patterns.flatMap(([pattern, answers]) =>
    (['whole', 'end', 'inside', 'layer'] as const).flatMap((use) => {
      const found = answer(pattern, use);
      const same = JSON.stringify(found) === JSON.stringify(answers[use]);
      return same || refused.has(pattern) ? [] : [{ pattern, use, found, wanted: answers[use] }];
    }),
  );
  expect(wrong).toEqual([]);
});

describe('refused, by name', () => {
  test.each([
    ['(?(1)a|b)', /condition/],
    ['\\N{BULLET}', /characters by name/],
    ['a{100000}', /too large/],
    ['(?:){1000000000}', /too large/],
    ['('.repeat(200_000), /200000 characters/],
    ['('.repeat(5000), /nested deeper than 100/],
    ['(a', /unterminated subpattern/],
  ])('%.20s', (pattern, message) => expect(() => PathPattern.of(pattern, 'whole')).toThrow(message));
});

test('what is as plain as a path is matched as the engine matches it', () => {
  const paths = ['layers.0.q', 'model.layers.0.q', 'xlayers.0.q', 'layers_0_q', 'm.layersx0.q', 'q', 'é.layers.0.q'];
  for (const pattern of ['layers.0.q', 'layers\\.0\\.q', '^layers.0.q', '^model.layers.0.q', 'q', '.', 'model.*q'])
    for (const path of paths) {
      const engine = PathPattern.of(`(?:${pattern})`, 'end');
      expect([engine.isPlain, PathPattern.of(pattern, 'end').isPlain]).toEqual([false, !pattern.includes('*')]);
      expect([pattern, path, PathPattern.of(pattern, 'end').matches(path)]).toEqual([
        pattern,
        path,
        engine.matches(path),
      ]);
    }
});

test('patterns that backtrack without end elsewhere end at once', () => {
  const path = `${'model.layers.0.'.repeat(40)}q_proj`;
  const begin = process.cpuUsage();
  expect(PathPattern.of('([a-z0-9._]+)+!', 'whole').matches(path)).toBe(false);
  expect(PathPattern.of('(a*)*(?!.*vision)(.*)*!', 'end').matches(path)).toBe(false);
  expect(() => PathPattern.of('(?P<x>(.+)+)+!(?P=x)', 'whole').matches(path)).toThrow(/takes too long/);
  expect(process.cpuUsage(begin).user / 1000).toBeLessThan(2000);
});
