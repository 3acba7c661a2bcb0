/** 1234567 → 1.2 MB */
export function bytesText(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 || value >= 100 ? Math.round(value) : Number(value.toPrecision(2))} ${units[unit]}`;
}

/** Seconds as people say them: 45 s, 3 min, 1.5 h. */
export function durationText(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

export function countText(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 0 });
}

/** 256000 → 0.26 million, 134515008 → 135 million */
export function millionsText(value: number): string {
  const millions = value / 1e6;
  return `${millions < 10 ? Number(millions.toPrecision(2)) : countText(millions)} million`;
}

/** A loss with as many digits as tell something: 2.31, 0.0123. */
export function lossText(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '–';
  return value >= 0.1 ? value.toFixed(3) : value.toPrecision(2);
}
