import { momentBlock, segmentBlock, sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, literal, mainHead, nonFinite } from '../shader.js';

/** Blocks that a workgroup takes one after another, so that the maps are loaded once for all of them. */
const blocksPerGroup = 4;
const lanes = 64;

const nearest = `/* The nearest of the 256 places from base on. */
fn nearest(base: u32, x: f32) -> u32 {
  var code = 0u;
  for (var step = 128u; step > 0u; step >>= 1u) {
    let next = code + step;
    if (0.5f * (places[base + next - 1u] + places[base + next]) < x) { code = next; }
  }
  return code;
}
`;

/** WGSL that makes `largest` of the magnitudes of both moments over a block: the scales of its codes. */
const largestOfBlock = `    let sizes = abs(first);
    let most = vec2<f32>(max(sizes.x, sizes.y), max(second.x, second.y));
    largestCells[lane] = max(most, vec2<f32>(max(sizes.z, sizes.w), max(second.z, second.w)));
    workgroupBarrier();
    for (var width = ${lanes / 2}u; width > 0u; width >>= 1u) {
      if (lane < width) { largestCells[lane] = max(largestCells[lane], largestCells[lane + width]); }
      workgroupBarrier();
    }
    let largest = largestCells[0];
    workgroupBarrier();
`;

/**
 * One AdamW step with moments in 8 bits: a workgroup takes blocks of 256 elements, a lane one word of codes. All
 * operands and a computed clip factor are 8 bindings.
 */
export const adamw8bit = defineKernel<AttrsOf<'adamw8bit'>>({
  launches({ inputs, outputs, attrs: { beta1, beta2, epsilon } }, context) {
    const input = (at: number) => operand(inputs, at, 'adamw8bit');
    const total = sizeOf(input(0).shape);
    const shader = new Shader(context);
    const p = shader.write('p', operand(outputs, 0, 'adamw8bit'));
    const m = shader.write('m', operand(outputs, 1, 'adamw8bit'), 'u32');
    const v = shader.write('v', operand(outputs, 2, 'adamw8bit'), 'u32');
    const scales = shader.write('scales', operand(outputs, 3, 'adamw8bit'));
    const g = shader.read('g', input(1));
    const table = shader.read('table', input(5));
    const maps = shader.read('maps', input(6));
    const [lr, stepSize, biasScale, clip] = ['lr', 'stepSize', 'biasScale', 'clip'].map((name, at) =>
      shader.scalar(name, input(7 + at)),
    );
    const workgroups = grid(Math.ceil(total / (momentBlock * blocksPerGroup)));
    const body = `${nonFinite}
var<workgroup> places: array<f32, 512>;
var<workgroup> largestCells: array<vec2<f32>, ${lanes}>;
${nearest}${mainHead(lanes, workgroups)}
  for (var i = lane; i < 512u; i += ${lanes}u) { places[i] = ${maps}[i]; }
  workgroupBarrier();
  let total = ${shader.size('total', total)};
  let factor = ${clip};
  let sound = isFinite(factor);
  for (var round = 0u; round < ${blocksPerGroup}u; round++) {
    let block = group * ${blocksPerGroup}u + round;
    let word = block * ${lanes}u + lane;
    let start = word * 4u;
    let writes = sound && start < total;
    var first = vec4<f32>();
    var second = vec4<f32>();
    if (writes) {
      let codesM = ${m}[word];
      let codesV = ${v}[word];
      let scale = vec2<f32>(${scales}[2u * block], ${scales}[2u * block + 1u]);
      let line = 2u * (start / ${segmentBlock}u);
      let multiplier = ${table}[line];
      let keep = 1.0f - ${lr} * multiplier * ${table}[line + 1u];
      for (var i = 0u; i < min(4u, total - start); i++) {
        let gradient = factor * ${g}[start + i];
        let a = ${literal(beta1)} * (places[(codesM >> (8u * i)) & 255u] * scale.x) + ${literal(1 - beta1)} * gradient;
        let old = places[256u + ((codesV >> (8u * i)) & 255u)] * scale.y;
        let b = ${literal(beta2)} * old + ${literal(1 - beta2)} * gradient * gradient;
        let divisor = sqrt(b) * ${biasScale} + ${literal(epsilon)};
        ${p}[start + i] = ${p}[start + i] * keep - ${stepSize} * multiplier * a / divisor;
        first[i] = a;
        second[i] = b;
      }
    }
${largestOfBlock}    if (writes) {
      var codesM = 0u;
      var codesV = 0u;
      for (var i = 0u; i < 4u; i++) {
        var code = nearest(0u, select(first[i] / largest.x, 0.0f, largest.x == 0.0f));
        if (first[i] < 0.0f && places[code] == 0.0f) { code -= 1u; }
        codesM |= code << (8u * i);
        codesV |= nearest(256u, select(second[i] / largest.y, 0.0f, largest.y == 0.0f)) << (8u * i);
      }
      ${m}[word] = codesM;
      ${v}[word] = codesV;
      if (lane == 0u) {
        ${scales}[2u * block] = largest.x;
        ${scales}[2u * block + 1u] = largest.y;
      }
    }
  }
}
`;
    return [shader.launch({ label: 'adamw8bit', body, workgroups })];
  },
});
