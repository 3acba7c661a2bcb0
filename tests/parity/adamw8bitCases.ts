import { fileURLToPath } from 'node:url';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import type { Backend, HostArray, Scalar, Tensor } from '@lowrank/tensor';
import { assign, compile, mul, persistent, readTensor, scalar, sub, tensor } from '@lowrank/tensor';
import { adamw8bit, momentMaps } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';

const attrs = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
const size = 4099;

async function open(): Promise<(name: string) => Promise<HostArray>> {
  const file = await openSafetensors(
    fileSource(fileURLToPath(new URL('../../parity/golden/adamw8bit.safetensors', import.meta.url))),
  );
  return async (name) => {
    const bytes = (await file.read(name)).slice();
    const dtype = file.tensors.get(name)?.dtype;
    return dtype === 'U8' ? bytes : dtype === 'I32' ? new Int32Array(bytes.buffer) : new Float32Array(bytes.buffer);
  };
}

interface State {
  readonly parameters: Tensor;
  readonly firstCodes: Tensor;
  readonly secondCodes: Tensor;
  readonly scales: Tensor;
}

type Numbers = Record<'learningRate' | 'stepSize' | 'biasScale', Scalar>;

function newNumbers(): Numbers {
  return { learningRate: scalar(0), stepSize: scalar(0), biasScale: scalar(1) };
}

function setNumbers(numbers: Numbers, step: number, learningRate: number): void {
  numbers.learningRate.value = learningRate;
  numbers.stepSize.value = learningRate / (1 - attrs.beta1 ** step);
  numbers.biasScale.value = 1 / Math.sqrt(1 - attrs.beta2 ** step);
}

/** Assigns one step's results to the state. */
function update(state: State, gradient: Tensor, numbers: { scalars: Numbers; decay: number }): void {
  const lines = Math.ceil(size / 64);
  const table = tensor(
    Float32Array.from({ length: 2 * lines }, (_, i) => (i % 2 === 0 ? 1 : numbers.decay)),
    [lines, 2],
  );
  const updated = adamw8bit(
    { ...state, gradient, table, maps: tensor(momentMaps(), [2, 256]) },
    { ...numbers.scalars, clip: scalar(1) },
    attrs,
  );
  [state.parameters, state.firstCodes, state.secondCodes, state.scales].forEach((target, at) =>
    assign(target, updated[at] ?? target),
  );
}

function mean(values: ArrayLike<number>, others: ArrayLike<number>): number {
  return (
    Array.from(values).reduce((total, value, i) => total + Math.abs(value - (others[i] ?? NaN)), 0) / values.length
  );
}

/** Our 8-bit AdamW against bitsandbytes'. */
export function describeAdamw8bit(makeBackend: () => Promise<Backend>): void {
  test('one step from a state in the middle of training is bitsandbytes’', async () => {
    const [backend, read] = [await makeBackend(), await open()];
    const state: State = {
      parameters: tensor(await read('step.p')),
      firstCodes: tensor(await read('step.m')),
      secondCodes: tensor(await read('step.v')),
      scales: tensor(await read('step.scales'), [17, 2]),
    };
    const scalars = newNumbers();
    setNumbers(scalars, (await read('step.step'))[0] ?? 0, (await read('step.lr'))[0] ?? 0);
    const decay = (await read('step.decay'))[0] ?? 0;
    const gradient = tensor(await read('step.g'));
    const step = compile(backend, () => {
      update(state, gradient, { scalars, decay });
      return {};
    });
    await step.run();
    const p = await readTensor(state.parameters);
    (await read('step.pAfter')).forEach((value, i) => expect(Math.abs((p[i] ?? NaN) - value)).toBeLessThan(2e-6));
    const scales = await readTensor(state.scales);
    (await read('step.scalesAfter')).forEach((value, i) =>
      expect(Math.abs((scales[i] ?? NaN) / value - 1)).toBeLessThan(1e-6),
    );
    for (const [codes, golden] of [
      [state.firstCodes, 'step.mAfter'],
      [state.secondCodes, 'step.vAfter'],
    ] as const) {
      const [ours, theirs] = [await readTensor(codes), await read(golden)];
      // A moment halfway between two places goes to either; nothing else may differ.
      const differing = [...theirs].filter((code, i) => code !== ours[i]);
      expect(differing.length).toBeLessThanOrEqual(4);
      theirs.forEach((code, i) => expect(Math.abs(code - (ours[i] ?? NaN))).toBeLessThanOrEqual(1));
    }
    await step.dispose();
    backend.dispose();
  });

  test('ten steps end where bitsandbytes’ do', async () => {
    const [backend, read] = [await makeBackend(), await open()];
    const state: State = {
      parameters: tensor(await read('run.start')),
      firstCodes: persistent([size], { dtype: 'u8' }),
      secondCodes: persistent([size], { dtype: 'u8' }),
      scales: persistent([17, 2]),
    };
    const [target, weight] = [tensor(await read('run.target')), tensor(await read('run.weight'))];
    const scalars = newNumbers();
    const step = compile(backend, () => {
      update(state, mul(weight, sub(state.parameters, target)), { scalars, decay: 0 });
      return {};
    });
    for (let t = 1; t <= 10; t++) {
      setNumbers(scalars, t, 1e-2);
      await step.run();
    }
    const end = await readTensor(state.parameters);
    const [theirs, full, start] = [await read('run.end'), await read('run.endF32'), await read('run.start')];
    const [toTheirs, toFull, theirsToFull, moved] = [
      mean(end, theirs),
      mean(end, full),
      mean(theirs, full),
      mean(full, start),
    ];
    console.log(
      `${backend.name}: after ten steps of ${moved.toExponential(2)} on average, ours lies ` +
        `${toTheirs.toExponential(1)} from bitsandbytes' and ${toFull.toExponential(1)} from f32 AdamW; ` +
        `bitsandbytes' ${theirsToFull.toExponential(1)} from f32`,
    );
    expect(toTheirs).toBeLessThan(1e-5);
    expect(Math.abs(toFull / theirsToFull - 1)).toBeLessThan(0.02);
    await step.dispose();
    backend.dispose();
  });
}
