/** Entries to be timed against each other; the first is what the table would take. */
export interface Contest {
  readonly entries: number;
  /** Milliseconds of each run: an entry, launched `repeats` times. */
  time(runs: readonly TimedEntry[]): Promise<readonly number[]>;
}

export interface TimedEntry {
  readonly entry: number;
  readonly repeats: number;
}

/** The clock of the host, in milliseconds, and when the measuring has to be over. */
export interface Deadline {
  readonly now: () => number;
  readonly end: number;
}

/** Which entry won, and what a launch of the table's entry and of it took. */
export interface Outcome {
  readonly winner: number;
  readonly table: number;
  readonly best: number;
}

/** How much shorter than the table's an entry's time has to be to count: less may be noise. */
const gain = 0.92;
/** Times nearer than this are alike: the first entry of them is taken. */
const alike = 1.03;
/** Looks at each entry, of which the shortest counts: one may have been disturbed. */
const looks = 2;
/** Entries of the final beside the table's. */
const finalists = 4;
/** Rounds of the final, and how many will do where time is up. */
const [rounds, fewest] = [5, 3];
/** Milliseconds that an entry should run for, to be told from another; and the most launches for that. */
const [long, mostRepeats] = [1, 256];

/**
 * Times all entries twice, those that come near the fastest in turns with the table's, and compares medians. `late`
 * where time is up before that is settled, `blind` where the device's clock stands still.
 */
export async function race(contest: Contest, deadline: Deadline): Promise<Outcome | 'late' | 'blind'> {
  const isLate = (): boolean => deadline.now() >= deadline.end;
  // The first launch pays for what comes with a first launch.
  await contest.time([{ entry: 0, repeats: 1 }]);
  let repeats = 1;
  for (;;) {
    if (isLate()) return 'late';
    const [time = 0] = await contest.time([{ entry: 0, repeats }]);
    if (repeats === mostRepeats && !(time > 0)) return 'blind';
    if (time >= long || repeats === mostRepeats) break;
    // Clocks of pages tick every tenth of a millisecond.
    repeats = Math.min(mostRepeats, Math.max(repeats + 1, Math.ceil((repeats * long) / Math.max(time, long / 8))));
  }
  const first = Array.from({ length: contest.entries }, () => Infinity);
  for (let look = 0; look < looks; look++) {
    for (let entry = 0; entry < contest.entries; entry++) {
      if (isLate()) return 'late';
      const [time = 0] = await contest.time([{ entry, repeats }]);
      if (!(time > 0)) return 'blind';
      first[entry] = Math.min(first[entry] ?? Infinity, time);
    }
  }
  const field = [0, ...nearFastest(first)];
  const times = new Map(field.map((entry): [number, number[]] => [entry, []]));
  for (let round = 0; round < rounds; round++) {
    if (isLate()) {
      if (round < fewest) return 'late';
      break;
    }
    const runs = await contest.time(field.map((entry) => ({ entry, repeats })));
    for (const [at, entry] of field.entries()) times.get(entry)?.push(runs[at] ?? Infinity);
  }
  const medians = field.map((entry) => ({ entry, time: median(times.get(entry) ?? []) / repeats }));
  const table = medians[0]?.time ?? Infinity;
  const best = Math.min(...medians.map(({ time }) => time));
  const winner = best > gain * table ? 0 : (medians.find(({ time }) => time <= alike * best)?.entry ?? 0);
  return { winner, table, best };
}

/** The entries beside the table's that are as fast as it, or nearly as the fastest: few of them. */
function nearFastest(times: readonly number[]): number[] {
  const limit = Math.min(times[0] ?? Infinity, 1.25 * Math.min(...times));
  return times
    .map((time, entry) => ({ time, entry }))
    .filter(({ time, entry }) => entry > 0 && time <= limit)
    .toSorted((a, b) => a.time - b.time)
    .slice(0, finalists)
    .map(({ entry }) => entry)
    .toSorted((a, b) => a - b);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = Infinity, high = Infinity] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]];
  return (low + high) / 2;
}
