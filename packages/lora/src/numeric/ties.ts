/** How the sign of a merged value is elected: by the sum of the values, or by how many there are of each sign. */
export type MajoritySign = 'total' | 'frequency';

/**
 * Merges values place by place (TIES, Yadav et al. 2023): a sign is elected, + where neither prevails, and the weighted
 * values that have it are averaged: Σ w_i·v_i / max(1, count). The election uses the values without their weights,
 * as PEFT's does; zeros have no sign.
 *
 * @param values of one length, one for each weight
 */
export function tiesMerge(
  values: readonly Float32Array[],
  weights: readonly number[],
  majoritySign: MajoritySign,
): Float64Array {
  const result = new Float64Array(values[0]?.length ?? 0);
  for (let at = 0; at < result.length; at++) {
    let votes = 0;
    for (const each of values) votes += majoritySign === 'total' ? each[at] : Math.sign(each[at]);
    const elected = votes >= 0 ? 1 : -1;
    let [sum, count] = [0, 0];
    for (const [source, each] of values.entries()) {
      const value = each[at];
      if (Math.sign(value) !== elected) continue;
      sum += weights[source] * value;
      count++;
    }
    result[at] = sum / Math.max(1, count);
  }
  return result;
}

/** Σ w_i·v_i, place by place (task arithmetic, Ilharco et al. 2022). */
export function weightedSum(values: readonly Float32Array[], weights: readonly number[]): Float64Array {
  const result = new Float64Array(values[0]?.length ?? 0);
  for (const [source, each] of values.entries()) {
    const weight = weights[source];
    for (let at = 0; at < result.length; at++) result[at] += weight * each[at];
  }
  return result;
}
