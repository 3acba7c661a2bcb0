import { describe, expect, it } from 'vitest';
import { race } from './race.js';
import type { Contest } from './race.js';

/** Entries that take these milliseconds a launch, on a clock that goes on as they run; `noise` is a factor per run. */
function contestOf(
  times: readonly number[],
  { noise = () => 1, tick = 0 }: { readonly noise?: () => number; readonly tick?: number } = {},
) {
  const clock = { at: 0, launches: 0 };
  const contest: Contest = {
    entries: times.length,
    time: (runs) =>
      Promise.resolve(
        runs.map(({ entry, repeats }) => {
          const took = (times[entry] ?? NaN) * repeats * noise();
          clock.at += took;
          clock.launches += repeats;
          return tick === 0 ? took : Math.floor(took / tick) * tick;
        }),
      ),
  };
  return { contest, clock, run: (end = 1e6) => race(contest, { now: () => clock.at, end }) };
}

/** The same sequence of numbers in [0, 1) at every call. */
function sequence(seed: number): () => number {
  let state = (seed * 48_271_117) % 2_147_483_647;
  return () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
}

describe('a race', () => {
  it('takes the fastest entry, and tells the times', async () => {
    expect(await contestOf([2, 3, 1, 1.5]).run()).toEqual({ winner: 2, table: 2, best: 1 });
  });

  it('keeps the table’s entry where another is hardly faster', async () => {
    expect(await contestOf([1, 0.95, 1.2]).run()).toMatchObject({ winner: 0, best: 0.95 });
    expect(await contestOf([1]).run()).toMatchObject({ winner: 0 });
  });

  it('takes the first of those that are alike', async () => {
    expect(await contestOf([1, 0.61, 0.6, 0.605]).run()).toMatchObject({ winner: 1 });
  });

  it('makes the same choice again, however the times wobble', async () => {
    const winners = [];
    for (let seed = 1; seed <= 20; seed++) {
      const random = sequence(seed);
      // A run in twenty is disturbed, to four times as long.
      const noise = (): number => (random() < 0.05 ? 4 : 0.98 + 0.04 * random());
      const outcome = await contestOf([1, 0.97, 0.7, 0.8, 1.6], { noise }).run();
      winners.push(outcome === 'late' || outcome === 'blind' ? outcome : outcome.winner);
    }
    // Where both looks at the best are disturbed the next best wins, which is once here.
    expect(winners.filter((winner) => winner === 2).length).toBeGreaterThanOrEqual(19);
    expect(winners.every((winner) => winner === 2 || winner === 3)).toBe(true);
  });

  it('ends when time is up, after the launch that it is at', async () => {
    const { run, clock } = contestOf([10, 40, 10, 10]);
    expect(await run(55)).toBe('late');
    expect(clock.at).toBeLessThan(55 + 41);
  });

  it('settles on the rounds that there was time for', async () => {
    // Two launches to begin with, two looks at each, and three rounds of two: 20 + 38 + 57.
    expect(await contestOf([10, 9.1]).run(110)).toMatchObject({ winner: 1 });
  });

  it('launches often what is over before the clock ticks', async () => {
    const { run, clock } = contestOf([0.02, 0.01], { tick: 0.1 });
    expect(await run()).toMatchObject({ winner: 1 });
    expect(clock.launches).toBeLessThan(2000);
  });

  it('says so where the clock stands still', async () => {
    expect(await contestOf([0.001, 0.001], { tick: 1e9 }).run()).toBe('blind');
  });
});
