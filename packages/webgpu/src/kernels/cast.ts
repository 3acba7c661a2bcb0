import { sizeOf } from '@lowrank/tensor/op';
import type { DType } from '@lowrank/tensor';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import type { BoundType } from '../shader.js';
import { Shader, grid, mainHead, nonFinite } from '../shader.js';

/** Between f32, f16, bf16, i32 and u32; 16-bit results are written two to a word. */
export const cast = defineKernel<AttrsOf<'cast'>>({
  launches({ inputs, outputs, attrs: { dtype } }, context) {
    const from = operand(inputs, 0, 'cast');
    const halves = dtype === 'f16' || dtype === 'bf16';
    const total = sizeOf(from.shape) / (halves ? 2 : 1);
    const shader = new Shader(context);
    const x = shader.read('x', from, boundType(from.dtype));
    const y = shader.write('y', operand(outputs, 0, 'cast'), boundType(dtype));
    const workgroups = grid(Math.ceil(total / 64));
    const value = halves
      ? `pack(${load(x, from.dtype, '2u * index')}, ${load(x, from.dtype, '2u * index + 1u')})`
      : convert(x, from.dtype, dtype);
    const pack = `fn pack(a: f32, b: f32) -> u32 { return ${dtype}Bits(a) | (${dtype}Bits(b) << 16u); }`;
    const body = `${nonFinite}${rounding}${halves ? pack : ''}
${mainHead(64, workgroups)}
  if (index >= ${total}u) { return; }
  ${y}[index] = ${value};
}
`;
    return [shader.launch({ label: `cast ${from.dtype} to ${dtype}`, body, workgroups })];
  },
});

function boundType(dtype: DType): BoundType {
  return dtype === 'f32' || dtype === 'i32' ? dtype : 'u32';
}

/** WGSL of the element at `at` as f32. */
function load(name: string, dtype: DType, at: string): string {
  if (dtype === 'f16') return `unpack2x16float(${name}[(${at}) / 2u])[(${at}) % 2u]`;
  if (dtype === 'bf16') return `bitcast<f32>((${name}[(${at}) / 2u] >> (16u * ((${at}) % 2u))) << 16u)`;
  return `f32(${name}[${at}])`;
}

function convert(name: string, from: DType, to: DType): string {
  if (from === to || (from !== 'f32' && from !== 'f16' && from !== 'bf16' && to !== 'f32'))
    return `${to}(${name}[index])`;
  return `${to}(${load(name, from, 'index')})`;
}

/** Rounding to nearest even by hand: `pack2x16float` may round either way, and overflow is left open. */
const rounding = `
fn bf16Bits(v: f32) -> u32 {
  let bits = bitcast<u32>(v);
  if (isNan(v)) { return (bits >> 16u) | 0x40u; }
  return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}
fn f16Bits(v: f32) -> u32 {
  let bits = bitcast<u32>(v);
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return sign | 0x7e00u; }
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
  if (magnitude < 0x33000001u) { return sign; }
  var shift = 13u;
  var mantissa = magnitude - 0x38000000u;
  if (magnitude < 0x38800000u) { shift = 126u - (magnitude >> 23u); mantissa = (magnitude & 0x7fffffu) | 0x800000u; }
  let kept = mantissa >> shift;
  let rest = mantissa & ((1u << shift) - 1u);
  let half = 1u << (shift - 1u);
  return sign | (kept + select(0u, 1u, rest > half || (rest == half && (kept & 1u) == 1u)));
}
`;
