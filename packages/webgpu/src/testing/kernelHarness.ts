import { fromNumbers } from '@lowrank/tensor';
import { coreOps } from '@lowrank/tensor/backend';
import { bytesPerElement, hostArray, sizeOf, threefryUniform, toFloat64 } from '@lowrank/tensor/op';
import type { DType, HostArray, Shape } from '@lowrank/tensor';
import type { DeviceBuffer, KernelName, Operand, Plan, PlanBuffer } from '@lowrank/tensor/backend';
import type { Spec } from '@lowrank/tensor/op';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { createWebgpuBackend } from '../backend.js';
import type { WebgpuBackend } from '../backend.js';
import type { KernelTuning } from '../choices.js';
import { defaultLimits } from '../constants.js';
import { prepareExecutable } from '../executable.js';
import { lowerSteps } from '../lower.js';
import { tiers } from '../profile.js';
import type { Tier } from '../profile.js';
import { checkedKernel } from './boundsCheck.js';

/** An operand of a kernel under test. */
export interface TestInput {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly data: HostArray;
  /** Put it into the scalars buffer. */
  readonly scalar?: boolean;
}

/** Numbers in [-1, 1), the same in every run. */
export function randomInput(shape: Shape, seed: number, dtype: DType = 'f32'): TestInput {
  const values = Float64Array.from({ length: sizeOf(shape) }, (_, i) => 2 * threefryUniform([seed, 0], [0, i]) - 1);
  return { shape, dtype, data: fromNumbers(values, dtype) };
}

export function given(values: readonly number[], shape: Shape = [values.length], dtype: DType = 'f32'): TestInput {
  return { shape, dtype, data: fromNumbers(values, dtype) };
}

export function scalarInput(value: number, dtype: DType = 'f32'): TestInput {
  return { ...given([value], [], dtype), scalar: true };
}

const namedTiers = process.env['LOWRANK_TEST_TIERS'];

/**
 * The tiers that every op is tested in: as chosen on a software adapter, and as on any GPU. `LOWRANK_TEST_TIERS` names
 * others, for a driver that reaches them.
 */
export const testTiers: readonly Tier[] = tiersOfTests(namedTiers ?? 'registers,portable');

/**
 * Those, and the one that joins the lanes of a row by subgroup operations, which every driver of Dawn's has: not wgpu,
 * for which tiers are named.
 */
export const rowTiers: readonly Tier[] = namedTiers === undefined ? [...testTiers, 'subgroups'] : testTiers;

/**
 * The tiers of products: also `registers` as a software adapter has it, whose subgroups are all of one small size. wgpu
 * has no subgroups.
 */
export const productTiers: readonly (Tier | 'lanes')[] = namedTiers === undefined ? [...testTiers, 'lanes'] : testTiers;

function tiersOfTests(names: string): Tier[] {
  return names.split(',').map((name) => {
    const tier = tiers.find((known) => known === name);
    if (tier === undefined) throw new TypeError(`LOWRANK_TEST_TIERS: ${name} is no tier`);
    return tier;
  });
}

/** Whether products round their operands to 16 bits. */
export function isHalf(tier: Tier | 'lanes'): boolean {
  return tier === 'f16' || tier === 'matrices';
}

/** A case whose numbers 16 bits hold exactly: rounding operands to them changes nothing. */
export function exactInHalf(test: KernelCase): KernelCase {
  const inputs = test.inputs.map((input) =>
    input.dtype === 'f32'
      ? { ...input, data: fromNumbers(toFloat64(fromNumbers(toFloat64(input.data, 'f32'), 'f16'), 'f16'), 'f32') }
      : input,
  );
  return { ...test, inputs };
}

/** A backend with WebGPU's default limits, and no feature but those of its tier: what passes here runs anywhere. */
export function testBackend(tier: Tier | 'lanes', tuning: KernelTuning = {}): Promise<WebgpuBackend> {
  const limits = checksBounds || tier === 'lanes' ? 'adapter' : 'default';
  return createWebgpuBackend({ limits, tier: tier === 'lanes' ? 'registers' : tier, tuning });
}

/**
 * With LOWRANK_BOUNDS=1 every kernel under test runs in the form that reports indices outside their arrays
 * (`boundsCheck.ts`), which takes a binding more than the default limits may give. `--robustness off` rests on it.
 */
const checksBounds = process.env['LOWRANK_BOUNDS'] === '1';

/** Tests of a kernel, in `testTiers` or those given; `check` runs a case and holds every output to its bound. */
export function describeKernel(name: string, tests: (scene: Scene) => void, tiers: readonly Tier[] = testTiers): void {
  describe.each(tiers)(`${name}, %s kernels`, (tier) => {
    let backend: WebgpuBackend | undefined;
    beforeAll(async () => {
      backend = await testBackend(tier);
    });
    afterAll(() => backend?.dispose());
    const run = (test: KernelCase): Promise<KernelResult> => {
      if (backend === undefined) throw new TypeError('the backend is made before the tests');
      return runKernel(backend, test);
    };
    tests({
      tier,
      run,
      check: async (test, bound) => {
        const { actual, expected } = await run(test);
        expected.forEach((want, at) => expectWithin(actual[at], want, bound));
        if (backend !== undefined) await checkInHalves(backend, test, bound);
      },
    });
  });
}

export interface Scene {
  readonly tier: Tier;
  readonly run: (test: KernelCase) => Promise<KernelResult>;
  readonly check: (
    test: KernelCase,
    bound: { readonly c: number; readonly magnitude: number | Float64Array },
  ) => Promise<void>;
}

export interface KernelCase {
  readonly op: KernelName;
  readonly attrs: object;
  readonly inputs: readonly TestInput[];
  /** Pairs [input, output] that share storage. */
  readonly inPlace?: readonly (readonly [number, number])[];
  /** Outputs that are stored in f16. */
  readonly halves?: readonly number[];
}

/** What tests ask of an op, whatever its attributes are. */
interface KnownOp {
  infer(specs: readonly Spec[], attrs: object): readonly Spec[];
  halves?(attrs: object): { readonly inputs: readonly number[]; readonly outputs: readonly number[] };
}

/**
 * The same case with f16 in memory wherever the planner may put it in mixed precision; undefined where it may not. What
 * does not lie alike cannot lie in one place.
 */
function inHalves(test: KernelCase, { spec }: WebgpuBackend): KernelCase | undefined {
  const op: KnownOp = coreOps[test.op];
  const places = op.halves?.(test.attrs);
  const specs = outputSpecs(test);
  if (places === undefined || spec.keepsHalves?.(test.op, test.inputs, specs, test.attrs) !== true) return undefined;
  const may = ({ shape, dtype }: Spec): boolean => dtype === 'f32' && (shape.at(-1) ?? 1) % 4 === 0;
  const inputs = test.inputs.map((input, at): TestInput => {
    if (!places.inputs.includes(at) || !may(input)) return input;
    return { ...input, dtype: 'f16', data: fromNumbers(toFloat64(input.data, 'f32'), 'f16') };
  });
  const halves = specs.flatMap((output, at) => (places.outputs.includes(at) && may(output) ? [at] : []));
  const inPlace = test.inPlace?.filter(([from, to]) => (inputs[from]?.dtype === 'f16') === halves.includes(to));
  return { ...test, inputs, halves, ...(inPlace !== undefined && { inPlace }) };
}

/** Holds a case with f16 in memory to its bound, and results of 16 bits to half a unit of theirs more. */
export async function checkInHalves(
  backend: WebgpuBackend,
  test: KernelCase,
  { c, magnitude }: { readonly c: number; readonly magnitude: number | Float64Array },
): Promise<void> {
  const half = inHalves(test, backend);
  if (half === undefined) return;
  const { actual, expected } = await runKernel(backend, half);
  expected.forEach((want, at) => {
    const own = (i: number): number => 1.001 * c * (typeof magnitude === 'number' ? magnitude : (magnitude[i] ?? 0));
    const units = half.halves?.includes(at) === true ? 2 ** 12 : 0;
    expectWithin(actual[at], want, {
      c: 1,
      magnitude: want.map((value, i) => own(i) + units * (Math.abs(value) + 1e-4)),
    });
  });
}

export interface KernelResult {
  /** One per output, as numbers. */
  readonly actual: Float64Array[];
  readonly expected: Float64Array[];
}

/**
 * Runs one step on the backend, each operand in a buffer of its own (filled with rubbish where it is written), and the
 * op's reference.
 */
export async function runKernel(backend: WebgpuBackend, test: KernelCase): Promise<KernelResult> {
  const { plan, fills } = planOf(backend, test);
  const buffers = plan.buffers.map(({ bytes }, at) => {
    const buffer = backend.allocate(bytes, `test ${at}`);
    backend.write(buffer, 0, fills[at] ?? new Uint8Array(bytes).fill(0x41));
    return buffer;
  });
  const scalars = fills[1] ?? new Uint8Array();
  const faults = checksBounds ? watchBounds(backend) : undefined;
  const executable = await (faults?.prepare(plan, buffers) ?? backend.prepare(plan, buffers));
  try {
    const before = backend.device.counters.dispatches;
    const { outputs } = await executable.run({
      inputs: new Uint8Array(),
      scalars: new Uint8Array(scalars.buffer),
      read: plan.outputs.map((_, at) => at),
    });
    const raw = await Promise.all(outputs);
    expect(backend.device.counters.dispatches).toBeGreaterThan(before);
    await faults?.expectNone();
    const actual = plan.outputs.map(({ dtype }, at) =>
      toFloat64(hostArray(dtype, raw[at] ?? new ArrayBuffer(0)), dtype),
    );
    return { actual, expected: referenceOf(test) };
  } finally {
    executable.dispose();
    faults?.dispose();
    for (const buffer of buffers) buffer.destroy();
  }
}

/** Prepares plans with checked kernels, and tells what they found. */
export function watchBounds(backend: WebgpuBackend) {
  const faults = backend.allocate(16, 'faults');
  const sites: (readonly string[])[] = [];
  return {
    prepare(plan: Plan, buffers: readonly DeviceBuffer[]) {
      backend.write(faults, 0, new Uint32Array(4));
      const { device, profile } = backend;
      return prepareExecutable({
        device,
        plan: { ...plan, buffers: [...plan.buffers, { kind: 'arena', bytes: 16 }] },
        buffers: [...buffers, faults],
        launches: lowerSteps(plan, { limits: defaultLimits, profile, tuning: backend.tuning }).map(
          ({ launch, step }) => {
            const checked = checkedKernel(launch, plan.buffers.length);
            sites.push(checked.sites.map((site) => `${launch.label}: ${site}`));
            return { launch: checked.dispatch, step };
          },
        ),
      });
    },
    /** Throws where an index lay outside its array: which, and what it was. */
    async expectNone(): Promise<void> {
      const [site = 0, index = 0] = new Uint32Array(await backend.read(faults, 0, 8));
      const named = sites.flatMap((each) => each[site - 1] ?? []).join(' or ');
      expect(site, `index ${index} at ${named}`).toBe(0);
    },
    dispose: () => faults.destroy(),
  };
}

function outputSpecs({ op, attrs, inputs, halves = [] }: KernelCase): readonly Spec[] {
  const known: KnownOp = coreOps[op];
  const stored = known.halves?.(attrs).inputs ?? [];
  const own = inputs.map((input, at): Spec => (stored.includes(at) ? { ...input, dtype: 'f32' } : input));
  return known.infer(own, attrs).map((spec, at) => (halves.includes(at) ? { ...spec, dtype: 'f16' } : spec));
}

export function referenceOf(test: KernelCase): Float64Array[] {
  const specs = outputSpecs(test);
  const outputs = specs.map(({ shape }) => new Float64Array(sizeOf(shape)));
  const op = coreOps[test.op] as { reference(context: object): void };
  op.reference({
    inputs: test.inputs.map(({ data, dtype }) => toFloat64(data, dtype)),
    outputs,
    inputSpecs: test.inputs,
    outputSpecs: specs,
    attrs: test.attrs,
  });
  return outputs;
}

function planOf(backend: WebgpuBackend, test: KernelCase): { plan: Plan; fills: (HostArray | undefined)[] } {
  const buffers: PlanBuffer[] = [];
  const fills: (HostArray | undefined)[] = [];
  const add = (buffer: PlanBuffer, fill?: HostArray): number => {
    fills.push(fill);
    return buffers.push(buffer) - 1;
  };
  add({ kind: 'inputs', bytes: 0 });
  const scalarCount = test.inputs.filter(({ scalar }) => scalar === true).length;
  const scalars = new Uint32Array(scalarCount);
  add({ kind: 'scalars', bytes: scalarCount * 4 }, scalars);
  const arena = (spec: Spec, fill?: HostArray): Operand => {
    const bytes = Math.ceil((sizeOf(spec.shape) * bytesPerElement(spec.dtype)) / 4) * 4;
    return { shape: spec.shape, dtype: spec.dtype, buffer: add({ kind: 'arena', bytes }, fill), offset: 0, bytes };
  };
  let scalarAt = 0;
  const inputs = test.inputs.map((input): Operand => {
    if (input.scalar !== true) return arena(input, input.data);
    scalars[scalarAt] = new Uint32Array(input.data.buffer, input.data.byteOffset, 1)[0] ?? 0;
    return { shape: [], dtype: input.dtype, buffer: 1, offset: 4 * scalarAt++, bytes: 4 };
  });
  const specs = outputSpecs(test);
  const outputs = specs.map((spec, at): Operand => {
    const shared = test.inPlace?.find(([, to]) => to === at);
    const home = shared === undefined ? undefined : inputs[shared[0]];
    return home === undefined ? arena(spec) : { ...home, shape: spec.shape, dtype: spec.dtype };
  });
  const bytes = backend.spec.workspaceBytes(test.op, test.inputs, specs, test.attrs);
  const workspace = bytes === 0 ? undefined : arena({ shape: [Math.ceil(bytes / 4)], dtype: 'u32' });
  const step = { op: test.op, attrs: test.attrs, inputs, outputs, workspace, scope: 'test', flops: 0 };
  return {
    plan: {
      buffers,
      steps: [step],
      inputs: [],
      scalars: [],
      outputs: outputs.map((output, at) => ({ ...output, name: `${at}` })),
    },
    fills,
  };
}

const epsilon = 2 ** -23;

/**
 * |actual − expected| ≤ c·ε·magnitude for every element, with ε = 2⁻²³ and `magnitude` the sum of the absolute values
 * of the terms that make the element (one number for all, or one per element). Infinities must agree exactly.
 */
export function expectWithin(
  actual: Float64Array | undefined,
  expected: Float64Array | undefined,
  { c, magnitude }: { c: number; magnitude: number | Float64Array },
): void {
  expect(actual?.length).toBe(expected?.length);
  let worst = { excess: 0, at: -1, actual: 0, expected: 0 };
  expected?.forEach((want, at) => {
    const got = actual?.[at] ?? NaN;
    if (Object.is(got, want) || got === want) return;
    const scale = typeof magnitude === 'number' ? magnitude : (magnitude[at] ?? 0);
    const excess = Math.abs(got - want) / (epsilon * Math.max(scale, Number.MIN_VALUE));
    if (!(excess <= worst.excess))
      worst = { excess: Number.isNaN(excess) ? Infinity : excess, at, actual: got, expected: want };
  });
  expect(worst.excess, `element ${worst.at}: ${worst.actual} against ${worst.expected}`).toBeLessThanOrEqual(c);
}

/** The reference on absolute values: Σ|a||b| for whatever is a sum of products. */
export function magnitudeOf(test: KernelCase): Float64Array[] {
  const positive = test.inputs.map((input) =>
    input.dtype === 'i32' || input.dtype === 'u32'
      ? input
      : { ...input, data: fromNumbers(toFloat64(input.data, input.dtype).map(Math.abs), input.dtype) },
  );
  return referenceOf({ ...test, inputs: positive });
}
