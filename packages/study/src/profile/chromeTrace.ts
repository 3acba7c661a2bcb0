import type { TimedLaunch } from './profileReport.js';

/**
 * The launches of a step as chrome://tracing and Perfetto read them: the Trace Event Format's complete events, times in
 * microseconds. Where a step runs one batch several times, it is drawn once.
 */
export function chromeTrace(launches: readonly TimedLaunch[], device: string): string {
  let before = 0;
  let end = 0;
  let last = 0;
  const events = launches.map(({ kernel, scope, start, milliseconds, bytes, flops }) => {
    // Another batch counts from 0 again.
    if (start < last) before = end;
    last = start;
    const from = 1000 * (before + start);
    end = Math.max(end, before + start + milliseconds);
    return {
      name: kernel,
      cat: 'kernel',
      ph: 'X',
      ts: from,
      dur: 1000 * milliseconds,
      pid: 1,
      tid: 1,
      args: { scope, bytes, flops },
    };
  });
  const named = { name: 'process_name', ph: 'M', pid: 1, args: { name: device } };
  return `${JSON.stringify({ displayTimeUnit: 'ms', traceEvents: [named, ...events] })}\n`;
}
