const lanes = 8;
const rows = 4;
const levels = 4;

/**
 * The mean in f32 as PyTorch's CPU kernel rounds it on one thread (aten/native/cpu/SumKernel.cpp: 8 lanes, 4 rows in
 * turn, four levels of partial sums), so that an offset of double quantization, and with it every code that depends on
 * it, is bitsandbytes' to the last bit.
 */
export function torchMean(values: Float32Array): number {
  if (values.length < lanes) return Math.fround(sumOfFew(values) / values.length);
  const vectors = Math.floor(values.length / lanes);
  const groups = Math.floor(vectors / rows);
  const sums = groupSums(values, groups);
  for (let vector = groups * rows; vector < vectors; vector++)
    for (let lane = 0; lane < lanes; lane++) sums[lane] += values[vector * lanes + lane];
  for (let row = 1; row < rows; row++) for (let lane = 0; lane < lanes; lane++) sums[lane] += sums[row * lanes + lane];
  let sum = 0;
  for (let i = vectors * lanes; i < values.length; i++) sum = Math.fround(sum + values[i]);
  for (let lane = 0; lane < lanes; lane++) sum = Math.fround(sum + sums[lane]);
  return Math.fround(sum / values.length);
}

/** Too few for a vector: four sums in turn. */
function sumOfFew(values: Float32Array): number {
  const sums = new Float32Array(rows);
  const whole = values.length - (values.length % rows);
  values.forEach((value, i) => (sums[i < whole ? i : 0] += value));
  return sums.reduce((sum, part) => Math.fround(sum + part));
}

/**
 * Sums of groups of rows × lanes numbers, place by place: what a level has gathered goes up to the next when it is
 * full.
 */
function groupSums(values: Float32Array, groups: number): Float32Array {
  const width = rows * lanes;
  const power = Math.max(4, Math.floor(Math.ceil(Math.log2(Math.max(groups, 1))) / levels));
  const step = 2 ** power;
  const sums = Array.from({ length: levels }, () => new Float32Array(width));
  const raise = (level: number): void => {
    const from = sums[level - 1];
    const to = sums[level];
    if (from === undefined || to === undefined) return;
    for (let i = 0; i < width; i++) to[i] += from[i];
    from.fill(0);
  };
  const [first = new Float32Array(width)] = sums;
  for (let group = 0; group < groups;) {
    for (let i = 0; i < width; i++) first[i] += values[group * width + i];
    group++;
    for (let level = 1, span = step; level < levels && group % span === 0; level++, span *= step) raise(level);
  }
  for (const partial of sums.slice(1)) for (let i = 0; i < width; i++) first[i] += partial[i];
  return first;
}
