/**
 * Figures from repeated measurements. Machines are noisy, so contenders take turns in one process and are compared by
 * medians: a ratio of medians over interleaved rounds moves little where absolute times move by factors.
 */

/**
 * The q-quantile (0 … 1) with linear interpolation between neighbours; NaN for no values.
 *
 * @param {readonly number[]} values
 * @param {number} q
 */
export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  if (sorted.length === 0) return NaN;
  const at = q * (sorted.length - 1);
  const below = sorted[Math.floor(at)] ?? NaN;
  const above = sorted[Math.ceil(at)] ?? NaN;
  return below + (above - below) * (at - Math.floor(at));
}

/** @param {readonly number[]} values */
export const median = (values) => quantile(values, 0.5);

/**
 * @typedef {object} Summary
 * @property {number} median
 * @property {number} low the lower quartile
 * @property {number} high the upper quartile
 * @property {number} best the smallest
 * @property {number} count
 */

/** @param {readonly number[]} values @returns {Summary} */
export function summarize(values) {
  return {
    median: median(values),
    low: quantile(values, 0.25),
    high: quantile(values, 0.75),
    best: quantile(values, 0),
    count: values.length,
  };
}

/**
 * How many times b is a: the ratio of the medians, and the quartiles of the ratios within each round (both sides of a
 * round saw the same machine).
 *
 * @param {readonly number[]} a
 * @param {readonly number[]} b
 * @returns {{ ratio: number, low: number, high: number, rounds: number }}
 */
export function ratioOf(a, b) {
  const rounds = Math.min(a.length, b.length);
  const paired = Array.from({ length: rounds }, (_, i) => (b[i] ?? NaN) / (a[i] ?? NaN));
  return { ratio: median(b) / median(a), low: quantile(paired, 0.25), high: quantile(paired, 0.75), rounds };
}

/**
 * Runs contenders in turns. The order rotates from round to round, so that nobody always runs in another's wake.
 *
 * @template T
 * @param {readonly { name: string, run: () => Promise<T> }[]} contenders
 * @param {{ rounds: number, warmup?: number }} options warmup: rounds whose results are dropped
 * @returns {Promise<Record<string, T[]>>} what each `run` gave, by name, in the order of the rounds
 */
export async function interleave(contenders, { rounds, warmup = 0 }) {
  /** @type {Record<string, T[]>} */
  const results = Object.fromEntries(contenders.map(({ name }) => [name, []]));
  for (let round = -warmup; round < rounds; round++) {
    const shift = contenders.length === 0 ? 0 : (round + warmup) % contenders.length;
    for (const { name, run } of [...contenders.slice(shift), ...contenders.slice(0, shift)]) {
      const result = await run();
      if (round >= 0) results[name]?.push(result);
    }
  }
  return results;
}

/** @param {() => Promise<unknown>} run @returns {() => Promise<number>} milliseconds that `run` takes */
export function timed(run) {
  return async () => {
    const start = performance.now();
    await run();
    return performance.now() - start;
  };
}

/**
 * Milliseconds by the clock and of the processor. What other programs take from a thread lengthens the first, not the
 * second; both mean the same only for work of one thread.
 *
 * @param {() => Promise<unknown>} run
 * @returns {() => Promise<{ wall: number, cpu: number }>}
 */
export function timedWithCpu(run) {
  return async () => {
    const before = process.cpuUsage();
    const start = performance.now();
    await run();
    const wall = performance.now() - start;
    const { user, system } = process.cpuUsage(before);
    return { wall, cpu: (user + system) / 1000 };
  };
}
