import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, literal, mainHead } from '../shader.js';
import { bindEncodedMatrix, bindMatrix, codesOf, scalarAt, unpacking, vectorAt } from './matmul/operands.js';

/**
 * The elements of a matrix of codes, four to a thread where rows allow. For merging and checks: products read codes
 * themselves.
 */
export const decodeMatrix = defineKernel<AttrsOf<'decodeMatrix'>>({
  launches({ inputs, outputs, attrs: { encoding } }, context) {
    const table = context.software ? 'private' : 'workgroup';
    const shader = new Shader(context);
    const matrix = bindEncodedMatrix(shader, {
      name: 'b',
      parts: inputs,
      encoding,
      innerName: '',
      alongInner: true,
      table,
    });
    const unit = matrix.vector ? 4 : 1;
    const total = (encoding.rows * encoding.columns) / unit;
    const y = shader.write('y', operand(outputs, 0, 'decodeMatrix'), unit === 4 ? 'vec4<f32>' : 'f32');
    const workgroups = grid(Math.ceil(total / 64));
    const body = `${unpacking([matrix])}
${mainHead(64, workgroups)}
${codesOf(matrix)?.fill('lane') ?? ''}  if (index >= ${shader.size('total', total)}) { return; }
  ${y}[index] = ${unit === 4 ? vectorAt(matrix, 'index * 4u') : scalarAt(matrix, 'index')};
}
`;
    return [
      shader.launch({ label: `decodeMatrix ${encoding.kind} ${encoding.rows}x${encoding.columns}`, body, workgroups }),
    ];
  },
});

/**
 * 1/x to the nearest f32, by long division: WGSL's own may be 2.5 units off, and a code next to a boundary would then
 * differ from the host's. x is normal and its reciprocal too.
 */
const reciprocal = `
fn reciprocal(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let divisor = (bits & 0x7fffffu) | 0x800000u;
  if (divisor == 0x800000u) { return bitcast<f32>((254u - (bits >> 23u)) << 23u); }
  var rest = 0x800000u;
  var quotient = 0u;
  for (var i = 0u; i < 24u; i++) {
    rest <<= 1u;
    quotient <<= 1u;
    if (rest >= divisor) { rest -= divisor; quotient |= 1u; }
  }
  if (2u * rest > divisor) { quotient++; }
  return bitcast<f32>(((253u - (bits >> 23u)) << 23u) + (quotient - 0x800000u));
}
`;

/**
 * A thread per block, which is whole words of codes: no two threads write to the same one. Runs once per weight, when
 * it is loaded.
 */
export const quantizeBlocks = defineKernel<AttrsOf<'quantizeBlocks'>>({
  launches({ inputs, outputs, attrs: { blockSize, boundaries, codes } }, context) {
    const x = operand(inputs, 0, 'quantizeBlocks');
    const size = sizeOf(x.shape);
    const blocks = Math.ceil(size / blockSize);
    const shader = new Shader(context);
    const values = bindMatrix(shader, {
      name: 'x',
      slice: x,
      dtype: x.dtype,
      inner: 1,
      innerName: '',
      alongInner: true,
      base: '',
    });
    const words = shader.write('codes', operand(outputs, 0, 'quantizeBlocks'), 'u32');
    const absmax = shader.write('absmax', operand(outputs, 1, 'quantizeBlocks'));
    const [total, count] = [shader.size('size', size), shader.size('blocks', blocks)];
    const packed = [0, 8].map((from) =>
      codes.slice(from, from + 8).reduce((word, code, at) => (word | (code << (4 * at))) >>> 0, 0),
    );
    const workgroups = grid(Math.ceil(blocks / 64));
    const body = `${unpacking([values])}${reciprocal}
fn codeOf(place: f32) -> u32 {
  let below = ${boundaries.map((boundary) => `u32(place > ${literal(boundary)})`).join(' + ')};
  return (select(${packed[0]}u, ${packed[1]}u, below > 7u) >> (4u * (below & 7u))) & 15u;
}
${mainHead(64, workgroups)}
  if (index >= ${count}) { return; }
  let start = index * ${blockSize}u;
  let end = min(start + ${blockSize}u, ${total});
  var most = 0.0f;
  for (var at = start; at < end; at++) { most = max(most, abs(${scalarAt(values, 'at')})); }
  ${absmax}[index] = most;
  // Beyond 2^125 a reciprocal is subnormal; below 2^-126 numbers are, and a device may take them for zeros, as is done
  // here.
  let exponent = bitcast<u32>(most) >> 23u;
  let shrink = select(1.0f, 0.0625f, exponent > 250u);
  var factor = 0.0f;
  if (exponent > 0u) { factor = reciprocal(most * shrink); }
  for (var word = start; word < end; word += 8u) {
    var bits = 0u;
    for (var i = 0u; i < min(8u, end - word); i++) {
      let at = word + i;
      bits |= codeOf((${scalarAt(values, 'at')} * shrink) * factor) << (4u * (i ^ 1u));
    }
    ${words}[word / 8u] = bits;
  }
}
`;
    return [shader.launch({ label: `quantizeBlocks ${size}`, body, workgroups })];
  },
});
