import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';

/** The lowest index of the largest element of each row: 64 lanes per row keep the better of two, lower index first. */
export const argmax = defineKernel<AttrsOf<'argmax'>>({
  launches({ inputs, outputs }, context) {
    const from = operand(inputs, 0, 'argmax');
    const width = from.shape.at(-1) ?? 1;
    const rows = sizeOf(from.shape) / width;
    const shader = new Shader(context);
    const x = shader.read('x', from);
    const y = shader.write('y', operand(outputs, 0, 'argmax'), 'i32');
    const workgroups = grid(rows);
    const body = `
var<workgroup> values: array<f32, 64>;
var<workgroup> places: array<u32, 64>;
${mainHead(64, workgroups)}
  if (group >= ${rows}u) { return; }
  let start = group * ${width}u;
  var place = min(lane, ${width - 1}u);
  var best = ${x}[start + place];
  for (var i = lane + 64u; i < ${width}u; i += 64u) {
    let value = ${x}[start + i];
    if (value > best) { best = value; place = i; }
  }
  values[lane] = best;
  places[lane] = place;
  workgroupBarrier();
  for (var stride = 32u; stride > 0u; stride >>= 1u) {
    if (lane < stride) {
      let other = values[lane + stride];
      let better = other > values[lane] || (other == values[lane] && places[lane + stride] < places[lane]);
      if (better) { values[lane] = other; places[lane] = places[lane + stride]; }
    }
    workgroupBarrier();
  }
  if (lane == 0u) { ${y}[group] = i32(places[0]); }
}
`;
    return [shader.launch({ label: 'argmax', body, workgroups })];
  },
});
