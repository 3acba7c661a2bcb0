import { sizeOf } from '@lowrank/tensor/op';
import type { DType } from '@lowrank/tensor';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import type { BoundType } from '../shader.js';
import { Shader, grid, mainHead, nonFinite } from '../shader.js';
import { halfBits } from './halfBits.js';

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
    const body = `${nonFinite}${halfBits}${halves ? pack : ''}
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
