/** A number of parameters as GGUF files label it, with at least two digits: 260K, 1.1B, 70B. */
export function sizeLabel(parameters: number): string {
  const [unit, suffix] =
    parameters > 1e12 ? [1e12, 'T'] : parameters > 1e9 ? [1e9, 'B'] : parameters > 1e6 ? [1e6, 'M'] : [1e3, 'K'];
  const scaled = parameters / unit;
  const digits = String(Math.round(scaled)).replace(/^0+/, '').length;
  return `${scaled.toFixed(Math.max(2 - digits, 0))}${suffix}`;
}
