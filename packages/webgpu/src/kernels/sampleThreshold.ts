import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { rowForm } from '../rowKernel.js';
import { Shader } from '../shader.js';

/**
 * The smallest logit that top-k, top-p and min-p let pass, a row at a time. Both searches bisect over the floats in
 * their order (as u32 keys), so they end after at most 32 walks of the row, most of the time after about half of that;
 * filters that are off cost nothing.
 */
export const sampleThreshold = defineKernel<AttrsOf<'sampleThreshold'>>({
  launches({ inputs, outputs }, context) {
    const logits = operand(inputs, 0, 'sampleThreshold');
    const width = logits.shape.at(-1) ?? 1;
    const rows = sizeOf(logits.shape) / width;
    const shader = new Shader(context);
    const form = rowForm(shader, rows, width, context);
    const y = shader.write('y', operand(outputs, 0, 'sampleThreshold'));
    const x = shader.read('x', logits);
    const [temperature, topK, topP, minP] = ['temperature', 'topK', 'topP', 'minP'].map((name, at) =>
      shader.scalar(name, operand(inputs, 1 + at, 'sampleThreshold')),
    );
    const loop = `for (var i = first; i < ${width}u; i += ${form.lanes}u)`;
    const row: Row = { x, loop, width };
    const body = `${form.helpers}
${agreement(form.lanes)}
${keys}${form.head}
  let start = row * ${width}u;
  var most = -infinity();
  var negated = -infinity();
  ${loop} { most = max(most, ${x}[start + i]); negated = max(negated, -${x}[start + i]); }
  let top = rowMax(most, lane);
  var least = -rowMax(negated, lane);
  let warm = ${temperature};
  let heat = select(1.0f, warm, warm > 0.0f);
${topKSearch(row, `${topK}`)}${topPSearch(row, `${topP}`)}  let fraction = ${minP};
  if (fraction > 0.0f) { least = max(least, min(top, top + heat * log(fraction))); }
  if (first == 0u) { ${y}[row] = least; }
}
`;
    return [shader.launch({ label: `sampleThreshold ${rows}x${width}`, body, workgroups: form.workgroups })];
  },
});

/** WGSL names of a row: its logits, the head of a loop over a lane's share of them, and their number. */
interface Row {
  readonly x: string;
  readonly loop: string;
  readonly width: number;
}

/** WGSL of `agree`: a condition that every lane is known to share, which the loops around barriers need. */
function agreement(lanes: number): string {
  if (lanes === 1) return 'fn agree(value: bool, lane: u32) -> bool { return value; }';
  return `var<workgroup> agreed: u32;
fn agree(value: bool, lane: u32) -> bool {
  if (lane == 0u) { agreed = u32(value); }
  return workgroupUniformLoad(&agreed) == 1u;
}`;
}

/** WGSL of the order of floats as u32 keys, and back. */
const keys = `fn keyOf(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}
fn valueOf(key: u32) -> f32 { return bitcast<f32>(select(~key, key & 0x7fffffffu, (key >> 31u) == 1u)); }
`;

/** WGSL that raises `least` to the k-th largest logit. */
function topKSearch({ x, loop, width }: Row, topK: string): string {
  return `  let k = ${topK};
  if (agree(k >= 1.0f && k < ${width}.0f, lane)) {
    // At least k elements reach the key low, fewer the key high.
    var low = keyOf(least);
    var high = keyOf(top) + 1u;
    while (agree(high - low > 1u, lane)) {
      let middle = low + (high - low) / 2u;
      var reached = 0.0f;
      ${loop} { reached += select(0.0f, 1.0f, keyOf(${x}[start + i]) >= middle); }
      let all = rowSum(reached, lane);
      if (all >= k) { low = middle; } else { high = middle; }
      if (all == k) { high = low; }
    }
    negated = -infinity();
    ${loop} { let value = ${x}[start + i]; negated = select(negated, max(negated, -value), keyOf(value) >= low); }
    least = -rowMax(negated, lane);
  }
`;
}

/** WGSL that raises `least` to the smallest logit of the fewest whose probabilities reach the limit. */
function topPSearch({ x, loop, width }: Row, topP: string): string {
  return `  let limit = ${topP};
  if (agree(limit < 1.0f, lane)) {
    var mass = 0.0f;
    ${loop} { let value = ${x}[start + i]; mass += select(0.0f, exp((value - top) / heat), value >= least); }
    let total = rowSum(mass, lane);
    // What is less likely than this goes for certain: all of it together is less than 1 - limit.
    let bound = top + heat * (log((1.0f - limit) * total / ${width}.0f) - 0.01f);
    // The smallest key whose likelier elements weigh less than limit is an element's.
    var low = keyOf(max(least, bound));
    var high = keyOf(top);
    while (agree(low < high, lane)) {
      let middle = low + (high - low) / 2u;
      let edge = max(least, valueOf(middle));
      var likelier = 0.0f;
      ${loop} { let value = ${x}[start + i]; likelier += select(0.0f, exp((value - top) / heat), value > edge); }
      if (rowSum(likelier, lane) < limit * total) { high = middle; } else { low = middle + 1u; }
    }
    negated = -infinity();
    ${loop} {
      let value = ${x}[start + i];
      negated = select(negated, max(negated, -value), keyOf(value) >= high && value >= least);
    }
    least = -rowMax(negated, lane);
  }
`;
}
