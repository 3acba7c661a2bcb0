import { createCpuBackend } from '@lowrank/cpu';
import {
  add,
  assign,
  compile,
  grad,
  matmul,
  mean,
  mul,
  neg,
  readTensor,
  scalar,
  square,
  sub,
  tensor,
} from '@lowrank/tensor';

const backend = await createCpuBackend();
const slope = tensor([0], [1, 1], { name: 'slope' });
const offset = tensor([0], [1], { name: 'offset' });
const rate = scalar(0.1, { name: 'rate' });

const step = compile(backend, ({ x, y }) => {
  if (x === undefined || y === undefined) throw new TypeError('x and y are the arguments');
  const loss = mean(square(sub(add(matmul(x, slope), offset), y)));
  const [dSlope, dOffset] = grad(loss, [slope, offset]);
  if (dSlope === undefined || dOffset === undefined) throw new TypeError('both have a gradient');
  assign(slope, add(slope, neg(mul(dSlope, rate))));
  assign(offset, add(offset, neg(mul(dOffset, rate))));
  return { loss };
});

// y = 2x − 1
const x = { data: Float32Array.of(-1, 0, 1, 2), shape: [4, 1] };
const y = { data: Float32Array.of(-3, -1, 1, 3), shape: [4, 1] };
for (let i = 0; i < 200; i++) {
  if (i === 150) rate.value = 0.05;
  await step.run({ x, y }, { read: [] });
}
export const fitted = [(await readTensor(slope))[0], (await readTensor(offset))[0]]; // 2 and −1
await step.dispose();
backend.dispose();
