import { scaleLinear, scaleLog } from 'd3-scale';

/** Where values lie along one side of a panel. */
export interface Axis {
  /** Pixels from the panel's left edge, or from its top. */
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
  /** The text of a tick. */
  readonly format: (value: number) => string;
}

export interface AxisOptions {
  /** Pixels of the smallest and of the largest value. */
  readonly range: readonly [from: number, to: number];
  readonly format?: (value: number) => string;
}

/** About as many ticks as people like to read. */
const tickCount = 5;

/** From the smallest value to the largest. */
export function tightAxis(values: readonly number[], { range, format }: AxisOptions): Axis {
  const scale = scaleLinear([Math.min(...values), Math.max(...values)], range);
  return { at: scale, ticks: scale.ticks(tickCount), format: format ?? scale.tickFormat(tickCount) };
}

/** Round bounds around values, with some room on both sides but none below `floor`. */
export function linearAxis(
  values: readonly number[],
  { range, format, floor = -Infinity }: AxisOptions & { readonly floor?: number },
): Axis {
  const [low, high] = values.length === 0 ? [0, 1] : [Math.min(...values), Math.max(...values)];
  const room = (high - low || Math.abs(high) * 0.2 || 1) * 0.1;
  const scale = scaleLinear([Math.max(floor, low - room), high + room], range).nice(tickCount);
  return { at: scale, ticks: scale.ticks(tickCount), format: format ?? scale.tickFormat(tickCount) };
}

/**
 * A logarithmic axis around positive values, with ticks at powers of ten, or at 1, 2 and 5 times them for few decades.
 */
export function logAxis(
  values: readonly number[],
  { range, format = String, room = 1.6 }: AxisOptions & { readonly room?: number },
): Axis {
  const [low, high] = values.length === 0 ? [1, 10] : [Math.min(...values) / room, Math.max(...values) * room];
  const scale = scaleLog([low, high], range);
  const decades = powersOfTen(low, high);
  const within = (value: number): boolean => value >= low && value <= high;
  const ticks = decades.filter(within);
  if (ticks.length < 3)
    return { at: scale, format, ticks: decades.flatMap((power) => [power, 2 * power, 5 * power]).filter(within) };
  const every = Math.ceil(ticks.length / (tickCount + 1));
  return { at: scale, format, ticks: ticks.filter((_, at) => at % every === 0) };
}

/** Those between the bounds, and the one below. */
function powersOfTen(low: number, high: number): number[] {
  const [first, last] = [Math.floor(Math.log10(low)), Math.floor(Math.log10(high))];
  // A negative power is no exact number, and 1e-3 is nearer to it than 10 ** -3.
  return Array.from({ length: last - first + 1 }, (_, at) => Number(`1e${first + at}`));
}

/** 1200000 → 1.2M */
export function shortCount(value: number): string {
  const units = [
    { size: 1e9, name: 'B' },
    { size: 1e6, name: 'M' },
    { size: 1e3, name: 'k' },
  ];
  const unit = units.find(({ size }) => value >= size);
  return unit === undefined ? String(value) : `${value / unit.size}${unit.name}`;
}
