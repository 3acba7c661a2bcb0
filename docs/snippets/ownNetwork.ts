import { createCpuBackend } from '@lowrank/cpu';
import { Linear, Module } from '@lowrank/nn';
import { argmax, assign, compile, crossEntropy, grad, mul, relu, Rng, scalar, sub } from '@lowrank/tensor';
import type { Tensor } from '@lowrank/tensor';

const rng = new Rng(0);

class Classifier extends Module {
  hidden = new Linear(2, 32, { rng });
  output = new Linear(32, 2, { rng });

  forward(x: Tensor): Tensor {
    return this.output.forward(relu(this.hidden.forward(x)));
  }
}

/** Points of the plane: 1 inside the circle of radius 0.8, 0 outside. */
const count = 256;
const points = Float32Array.from({ length: 2 * count }, () => 2 * rng.uniform() - 1);
const labels = Int32Array.from({ length: count }, (_, i) =>
  Number(Math.hypot(...points.slice(2 * i, 2 * i + 2)) < 0.8),
);

const backend = await createCpuBackend();
const network = new Classifier();
const parameters = [...network.namedParameters()].map(([, parameter]) => parameter.tensor);
const rate = scalar(0.5);

const step = compile(backend, (batch: Record<string, Tensor>) => {
  const { x, y } = batch as { x: Tensor; y: Tensor };
  const logits = network.forward(x);
  const loss = crossEntropy(logits, y);
  const gradients = grad(loss, parameters);
  for (const [at, parameter] of parameters.entries()) {
    const gradient = gradients[at];
    if (gradient !== undefined) assign(parameter, sub(parameter, mul(gradient, rate)));
  }
  return { loss, guess: argmax(logits) };
});

const batch = { x: { data: points, shape: [count, 2] }, y: { data: labels, shape: [count] } };
for (let i = 0; i < 300; i++) {
  if (i === 200) rate.value = 0.1;
  await step.run(batch, { read: [] });
}
const { guess } = await step.run(batch);
const guesses = await guess;
export const accuracy = guesses.filter((label, i) => label === labels[i]).length / count;
await step.dispose();
backend.dispose();
