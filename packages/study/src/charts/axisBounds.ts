/** Bounds of an axis and the distance of its ticks. */
export interface AxisBounds {
  readonly min: number;
  readonly max: number;
  readonly interval: number;
}

/** Round bounds around values, with some room on both sides. */
export function niceBounds(
  values: readonly number[],
  { floor = -Infinity }: { readonly floor?: number } = {},
): AxisBounds {
  const [low, high] = values.length === 0 ? [0, 1] : [Math.min(...values), Math.max(...values)];
  const room = (high - low || Math.abs(high) * 0.2 || 1) * 0.12;
  const rough = (high - low + 2 * room) / 5;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const interval = ([1, 2, 2.5, 5, 10].find((factor) => factor * unit >= rough) ?? 10) * unit;
  const round = (value: number): number => Number(value.toPrecision(12));
  return {
    min: Math.max(floor, round(Math.floor((low - room) / interval) * interval)),
    max: round(Math.ceil((high + room) / interval) * interval),
    interval: round(interval),
  };
}

/** Powers of ten around counts, so that no point lies on the frame. */
export function logBounds(values: readonly number[]): Pick<AxisBounds, 'min' | 'max'> {
  if (values.length === 0) return { min: 1, max: 10 };
  return {
    min: 10 ** Math.floor(Math.log10(Math.min(...values) * 0.8)),
    max: 10 ** Math.ceil(Math.log10(Math.max(...values) * 1.6)),
  };
}
