import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf, Operand } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import type { KernelContext, KernelDispatch } from '../kernel.js';
import { Shader, grid, mainHead, nonFinite } from '../shader.js';
import { halfBits } from './halfBits.js';

/**
 * Writes the new rows of a cache; where the result is not the cache itself, copies the cache first. A cache in f16 is
 * written in words of two numbers, which always belong to one place.
 */
export const writeAt = defineKernel<AttrsOf<'writeAt'>>({
  launches({ inputs, outputs }, context) {
    const cache = operand(inputs, 0, 'writeAt');
    const value = operand(inputs, 1, 'writeAt');
    const result = operand(outputs, 0, 'writeAt');
    const [, capacity = 0] = cache.shape;
    const [, length = 0] = value.shape;
    const halves = cache.dtype === 'f16';
    const row = sizeOf(cache.shape.slice(2)) / (halves ? 2 : 1);
    const copies = cache.buffer !== result.buffer || cache.offset !== result.offset;
    const shader = new Shader(context);
    const y = shader.write('y', result, wordOf(cache));
    const v = shader.read('value', value);
    const starts = shader.read('starts', operand(inputs, 2, 'writeAt'), 'i32');
    const total = (value.shape[0] ?? 1) * length * row;
    const workgroups = grid(Math.ceil(total / 64));
    const written = halves ? `f16Bits(${v}[2u * index]) | (f16Bits(${v}[2u * index + 1u]) << 16u)` : `${v}[index]`;
    const body = `${halves ? `${nonFinite}${halfBits}` : ''}${mainHead(64, workgroups)}
  if (index >= ${total}u) { return; }
  let b = index / ${length * row}u;
  let at = ${starts}[b] + i32((index / ${row}u) % ${length}u);
  if (at < 0 || at >= ${capacity}) { return; }
  ${y}[(b * ${capacity}u + u32(at)) * ${row}u + index % ${row}u] = ${written};
}
`;
    const write = shader.launch({ label: halves ? 'writeAt f16' : 'writeAt', body, workgroups });
    return copies ? [copy(cache, result, context), write] : [write];
  },
  launchClass: () => 'writeAt',
});

function copy(cache: Operand, result: Operand, context: KernelContext): KernelDispatch {
  const shader = new Shader(context);
  const x = shader.read('x', cache, wordOf(cache));
  const y = shader.write('y', result, wordOf(cache));
  const total = sizeOf(cache.shape) / (cache.dtype === 'f16' ? 2 : 1);
  const workgroups = grid(Math.ceil(total / 64));
  const body = `${mainHead(64, workgroups)}\n  if (index < ${total}u) { ${y}[index] = ${x}[index]; }\n}\n`;
  return shader.launch({ label: 'writeAt copy', body, workgroups });
}

function wordOf({ dtype }: Operand): 'f32' | 'u32' {
  return dtype === 'f16' ? 'u32' : 'f32';
}
