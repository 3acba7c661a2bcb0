import type { DeviceBuffer, Operand, Plan, PlanBuffer, Step } from '@lowrank/tensor/backend';
import { bytesPerElement, encodingSpecs, sizeOf } from '@lowrank/tensor/op';
import type { MatmulAttrs, Spec } from '@lowrank/tensor/op';
import { chooseProduct } from '../choices.js';
import type { KernelTuning, ProductSize } from '../choices.js';
import type { WebgpuDevice } from '../device.js';
import { roundUp } from '../buffers.js';
import { prepareExecutable } from '../executable.js';
import type { WebgpuExecutable } from '../executable.js';
import { matmul } from '../kernels/matmul.js';
import { timeLaunches } from '../launchTimes.js';
import { PipelineCache } from '../pipelines.js';
import type { DeviceProfile } from '../profile.js';
import type { Candidate } from './productCandidates.js';
import type { Contest, Deadline } from './race.js';
import type { ShapeClass } from './shapeClass.js';

/** A product whose form is to be chosen: the size of its class, and how its operands are stored. */
export interface ContestedProduct {
  readonly shape: ShapeClass;
  readonly size: ProductSize;
  readonly attrs: MatmulAttrs;
  /** Of the left operand, and of a right one that is not in codes. */
  readonly dtypes: readonly [Spec['dtype'], Spec['dtype']];
}

/** Where products are timed: a device, and memory on it. */
export interface TrackOptions {
  readonly device: WebgpuDevice;
  readonly profile: DeviceProfile;
  readonly allocate: (bytes: number, label: string) => DeviceBuffer;
}

export interface OpenContest extends Contest {
  readonly candidates: readonly Candidate[];
  dispose(): void;
}

/** Times the forms of products by the device's timestamps, over memory of its own that holds zeros. */
export class ProductTrack {
  readonly #options: TrackOptions;
  /** Forms that lose are not kept. */
  readonly #pipelines: PipelineCache;

  constructor(options: TrackOptions) {
    this.#options = options;
    this.#pipelines = new PipelineCache(options.device.gpu);
  }

  /**
   * Compiles the candidates; those that the device refuses are left out. Undefined where the table's own is among them,
   * or time is up before all are there.
   */
  async open(
    product: ContestedProduct,
    candidates: readonly Candidate[],
    deadline: Deadline,
  ): Promise<OpenContest | undefined> {
    const { device, profile, allocate } = this.#options;
    const { plan, step } = planOf(product, mostSplits(product.size, candidates, profile));
    const buffers = plan.buffers.map(({ bytes }, at) => allocate(bytes, `tuning ${at}`));
    const prepared = candidates.map(({ form }) => {
      const tuning: KernelTuning = { measured: () => form };
      const context = { limits: device.limits, profile, tuning, scalars: undefined };
      const launches = matmul.launches(step, context).map((launch) => ({ launch, step }));
      return prepareExecutable({ device, plan, buffers, launches, pipelines: this.#pipelines });
    });
    const all = Promise.allSettled(prepared);
    const free = (): void => {
      void all.then((each) => each.forEach((one) => one.status === 'fulfilled' && one.value.dispose()));
      for (const buffer of buffers) buffer.destroy();
    };
    const compiled = await Promise.race([all, timeout(deadline)]);
    const [own] = compiled ?? [];
    if (compiled === undefined || own?.status !== 'fulfilled') {
      void all.then(free);
      return undefined;
    }
    const ready = compiled.flatMap((each, at) => {
      const candidate = candidates[at];
      return each.status === 'fulfilled' && candidate !== undefined ? [{ candidate, executable: each.value }] : [];
    });
    const executables = ready.map(({ executable }) => executable);
    return {
      candidates: ready.map(({ candidate }) => candidate),
      entries: ready.length,
      time: (runs) =>
        time(
          device,
          runs.map(({ entry, repeats }) => ({ executable: executables[entry], repeats })),
        ),
      dispose: free,
    };
  }
}

async function time(
  device: WebgpuDevice,
  runs: readonly { readonly executable: WebgpuExecutable | undefined; readonly repeats: number }[],
): Promise<number[]> {
  const { clock, launches } = await timeLaunches(
    device,
    runs.map(({ executable, repeats }) => ({
      step: 0,
      kernel: '',
      bytes: 0,
      encode(pass) {
        for (let turn = 0; turn < repeats; turn++) executable?.dispatch(pass);
      },
    })),
  );
  return launches.map(({ milliseconds }) => (clock === 'timestamps' ? milliseconds : 0));
}

/** Undefined, when time is up. */
function timeout({ now, end }: Deadline): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), Math.max(0, end - now())));
}

function mostSplits(size: ProductSize, candidates: readonly Candidate[], profile: DeviceProfile): number {
  return Math.max(
    ...candidates.map(({ form }) => chooseProduct(size, { profile, tuning: { measured: () => form } }).splits),
  );
}

/** A plan of one product of the class's size, each operand in a buffer of its own. */
function planOf({ size, attrs, dtypes }: ContestedProduct, splits: number): { plan: Plan; step: Step } {
  const { transposeA, transposeB } = attrs;
  // Blocks of codes may have to end with a row.
  const block = attrs.encoding === undefined || attrs.encoding.kind === 'rows8' ? 1 : attrs.encoding.blockSize;
  const { m } = size;
  const n = transposeB ? size.n : roundUp(size.n, block);
  const k = transposeB ? roundUp(size.k, block) : size.k;
  const buffers: PlanBuffer[] = [];
  const operand = ({ shape, dtype }: Spec): Operand => {
    const bytes = Math.ceil((sizeOf(shape) * bytesPerElement(dtype)) / 16) * 16;
    return { shape, dtype, buffer: buffers.push({ kind: 'arena', bytes }) - 1, offset: 0, bytes };
  };
  const encoding = attrs.encoding && {
    ...attrs.encoding,
    rows: transposeB ? n : k,
    columns: transposeB ? k : n,
  };
  const b: readonly Spec[] =
    encoding === undefined ? [{ shape: transposeB ? [n, k] : [k, n], dtype: dtypes[1] }] : encodingSpecs(encoding);
  const inputs = [{ shape: transposeA ? [k, m] : [m, k], dtype: dtypes[0] }, ...b].map(operand);
  const outputs = [operand({ shape: [m, n], dtype: 'f32' })];
  const workspace = splits === 1 ? undefined : operand({ shape: [splits, m, n], dtype: 'f32' });
  const step: Step = {
    op: 'matmul',
    attrs: { transposeA, transposeB, encoding },
    inputs,
    outputs,
    workspace,
    scope: 'tuning',
    flops: 2 * m * n * k,
  };
  return { plan: { buffers, steps: [step], inputs: [], scalars: [], outputs: [] }, step };
}
