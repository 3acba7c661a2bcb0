import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import type { KernelDispatch } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';

/** Writes the new rows of a cache; where the result is not the cache itself, copies the cache first. */
export const writeAt = defineKernel<AttrsOf<'writeAt'>>({
  launches({ inputs, outputs }, context) {
    const cache = operand(inputs, 0, 'writeAt');
    const value = operand(inputs, 1, 'writeAt');
    const result = operand(outputs, 0, 'writeAt');
    const [, capacity = 0] = cache.shape;
    const [, length = 0] = value.shape;
    const row = sizeOf(cache.shape.slice(2));
    const launches: KernelDispatch[] = [];
    if (cache.buffer !== result.buffer || cache.offset !== result.offset) {
      const copy = new Shader(context);
      const x = copy.read('x', cache);
      const y = copy.write('y', result);
      const total = sizeOf(cache.shape);
      const workgroups = grid(Math.ceil(total / 64));
      launches.push(
        copy.launch({
          label: 'writeAt copy',
          body: `${mainHead(64, workgroups)}\n  if (index < ${total}u) { ${y}[index] = ${x}[index]; }\n}\n`,
          workgroups,
        }),
      );
    }
    const shader = new Shader(context);
    const y = shader.write('y', result);
    const v = shader.read('value', value);
    const starts = shader.read('starts', operand(inputs, 2, 'writeAt'), 'i32');
    const total = sizeOf(value.shape);
    const workgroups = grid(Math.ceil(total / 64));
    const body = `${mainHead(64, workgroups)}
  if (index >= ${total}u) { return; }
  let b = index / ${length * row}u;
  let at = ${starts}[b] + i32((index / ${row}u) % ${length}u);
  if (at < 0 || at >= ${capacity}) { return; }
  ${y}[(b * ${capacity}u + u32(at)) * ${row}u + index % ${row}u] = ${v}[index];
}
`;
    launches.push(shader.launch({ label: 'writeAt', body, workgroups }));
    return launches;
  },
  launchClass: () => 'writeAt',
});
