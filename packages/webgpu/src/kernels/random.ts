import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';

const rotations = [13, 15, 26, 6, 17, 29, 16, 24];

/** Threefry-2x32-20, unrolled: bit for bit the reference's draws. */
export const random = defineKernel<AttrsOf<'random'>>({
  launches({ inputs, outputs, attrs: { shape, stream } }, context) {
    const shader = new Shader(context);
    const seed = shader.scalar('seed', operand(inputs, 0, 'random'));
    const step = shader.scalar('step', operand(inputs, 1, 'random'));
    const y = shader.write('y', operand(outputs, 0, 'random'));
    const total = sizeOf(shape);
    const workgroups = grid(Math.ceil(total / 64));
    let body = `${mainHead(64, workgroups)}
  if (index >= ${shader.size('total', total)}) { return; }
  let key0 = ${seed};
  let key1 = ${stream >>> 0}u;
  let key2 = key0 ^ key1 ^ 0x1bd11bdau;
  var x = ${step} + key0;
  var z = index + key1;
`;
    for (let round = 0; round < 20; round++) {
      const turn = rotations[round % 8];
      body += `  x += z; z = ((z << ${turn}u) | (z >> ${32 - turn}u)) ^ x;\n`;
      if (round % 4 === 3) {
        const block = (round + 1) / 4;
        body += `  x += key${block % 3}; z += key${(block + 1) % 3} + ${block}u;\n`;
      }
    }
    body += `  ${y}[index] = f32(x >> 8u) * 0x1p-24f;\n}\n`;
    return [shader.launch({ label: 'random', body, workgroups })];
  },
});
