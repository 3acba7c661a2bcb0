import type { Backend } from '@lowrank/tensor';
import { add, compile, matmul } from '@lowrank/tensor';
import type { LaunchTime, Plan } from '@lowrank/tensor/backend';
import { planFunction } from '@lowrank/tensor/backend';
import { profilePlan } from './profilePlan.js';

/** What a device does at its best, with these kernels: the measure for all others. */
export interface Probes {
  /** Floating-point operations a second of a square product, multiply and add counted apart. */
  readonly flops_per_second: number;
  /** Bytes read and written a second by a sum of two large vectors. */
  readonly bytes_per_second: number;
  /** Seconds from the end of one small kernel to that of the next. */
  readonly launch_seconds: number;
}

/** A CPU has little to win from more, and takes long. */
const sizes = { small: { side: 384, elements: 2 ** 22 }, large: { side: 2048, elements: 2 ** 25 } };
/** Small kernels, each of which waits for the one before. */
const chain = 64;

/** Measures a device by a product, a sum and a chain of small kernels. `isSlow`: one that computes on a CPU. */
export async function probe(backend: Backend, { isSlow }: { readonly isSlow: boolean }): Promise<Probes> {
  const { side, elements } = sizes[isSlow ? 'small' : 'large'];
  const square = { shape: [side, side], dtype: 'f32' } as const;
  const vector = { shape: [elements], dtype: 'f32' } as const;
  const product = planFunction(
    ({ a, b }) => ({ c: matmul(given(a), given(b)) }),
    { a: square, b: square },
    backend.spec,
  );
  const sum = planFunction(({ a, b }) => ({ c: add(given(a), given(b)) }), { a: vector, b: vector }, backend.spec);
  return {
    flops_per_second: (2 * side ** 3) / (await shortest(backend, product)),
    bytes_per_second: (12 * elements) / (await shortest(backend, sum)),
    launch_seconds: await launchTime(backend),
  };
}

function given<T>(value: T | undefined): T {
  if (value === undefined) throw new TypeError('a probe lacks its argument');
  return value;
}

async function shortest(backend: Backend, plan: Plan): Promise<number> {
  const { launches } = await profilePlan(backend, plan, { repeats: 5 });
  return Math.max(1e-9, total(launches) / 1000);
}

const total = (launches: readonly LaunchTime[]): number => launches.reduce((sum, each) => sum + each.milliseconds, 0);

/** Whole runs of a chain of small products: nothing of it can be fused, and no kernel has work to speak of. */
async function launchTime(backend: Backend): Promise<number> {
  const steps = (count: number) =>
    compile(backend, ({ x }) => {
      let y = given(x);
      for (let at = 0; at < count; at++) y = matmul(y, y);
      return { y };
    });
  const inputs = { x: { data: Float32Array.from({ length: 64 }, () => 0.01), shape: [8, 8] } };
  const [long, short] = [steps(chain), steps(1)];
  const time = async (fn: typeof long): Promise<number> => {
    let best = Infinity;
    for (let turn = 0; turn < 5; turn++) {
      const start = performance.now();
      await (
        await fn.run(inputs)
      ).y;
      best = Math.min(best, performance.now() - start);
    }
    return best;
  };
  try {
    await time(long);
    return Math.max(0, (await time(long)) - (await time(short))) / (chain - 1) / 1000;
  } finally {
    await long.dispose();
    await short.dispose();
  }
}
