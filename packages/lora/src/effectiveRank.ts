/**
 * exp of the entropy of the singular values' shares of their sum (Roy and Vetterli 2007): from 1 to how many there are,
 * 0 where all are 0.
 */
export function effectiveRank(values: readonly number[]): number {
  const sum = values.reduce((total, value) => total + value, 0);
  if (sum === 0) return 0;
  return Math.exp(
    values.reduce((entropy, value) => (value > 0 ? entropy - (value / sum) * Math.log(value / sum) : entropy), 0),
  );
}
