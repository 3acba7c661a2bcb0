import type { RowStatistics } from '@lowrank/data';

/** What there is in rows, in a line: `300 rows of Alpaca; 45,123 tokens, 61% of them learned; lengths …`. */
export function describeRows({
  forms,
  tokens,
  labelTokens,
  statistics,
  sampled,
}: {
  readonly forms: string;
  readonly tokens: number;
  readonly labelTokens: number;
  readonly statistics?: RowStatistics | undefined;
  /** How many rows the rest was found in, where that is not all. */
  readonly sampled?: number | undefined;
}): string {
  const share = tokens === 0 ? 0 : (100 * labelTokens) / tokens;
  const said = `${share.toFixed(0)}% learned${statistics === undefined ? '' : `; ${describeLengths(statistics)}`}`;
  return sampled === undefined
    ? `${forms}; ${tokens.toLocaleString('en')} tokens, ${said}`
    : `${forms}, read as they are drawn; in ${sampled.toLocaleString('en')} of them ${said}`;
}

/** `9 to 40 tokens a row, median 20, 95% at most 33` */
export function describeLengths({ lengths: { min, median, p95, max } }: RowStatistics): string {
  return `${min} to ${max} tokens a row, median ${median}, 95% at most ${p95}`;
}

/** Rows by their length, a bar each. */
export function describeHistogram({ histogram }: RowStatistics): string {
  const most = Math.max(1, ...histogram.map(({ rows }) => rows));
  const width = Math.max(0, ...histogram.map(({ upTo }) => String(upTo).length));
  return histogram
    .map(({ upTo, rows }) => {
      const bar = '█'.repeat(Math.max(1, Math.round((30 * rows) / most)));
      return `  up to ${String(upTo).padStart(width)} tokens ${bar} ${rows.toLocaleString('en')}`;
    })
    .join('\n');
}
