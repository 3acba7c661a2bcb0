import { LowrankError } from '@lowrank/errors';
import type { LinearLike, Module } from '@lowrank/nn';
import type { Backend, HostTensor, Tensor } from '@lowrank/tensor';
import {
  add,
  assign,
  broadcastTo,
  cast,
  compile,
  div,
  matmul,
  maximum,
  mul,
  persistent,
  readTensor,
  reshape,
  sub,
  sum,
  toFloat32,
} from '@lowrank/tensor';
import { trace } from '@lowrank/tensor/op';
import { activateAdapter } from './activateAdapter.js';
import { seenInputs } from './seenInputs.js';

/** Rows of data as a forward pass takes them, and which of their tokens count. */
export interface InputBatch {
  /** What the forward pass gets, by name. */
  readonly inputs: Readonly<Record<string, HostTensor>>;
  /** One for each position, in the order of the layers' rows: 1 where it counts, 0 where not. */
  readonly counted: Int32Array;
}

/** What the layers of one input have in common. */
export interface MeasuredInput {
  /** The layers, in the model's order. */
  readonly paths: readonly string[];
  readonly width: number;
  /** Σ (x − μ)(x − μ)ᵀ over the tokens counted [width, width] */
  readonly scatter: Float32Array;
  readonly tokens: number;
}

/** Options of `measureInputs`: the data and the forward pass that EVA looks at. */
export interface MeasureOptions {
  readonly backend: Backend;
  /** The data, from the beginning: gone through once for each group of layers. */
  readonly batches: () => Iterable<InputBatch> | AsyncIterable<InputBatch>;
  /** The forward pass, to be traced: called with a batch's inputs. Without dropout. */
  readonly forward: (inputs: Readonly<Record<string, Tensor>>) => unknown;
  /** Bytes of the device for scatters at a time, width² · 4 for each input; default 1 GiB. */
  readonly memory?: number | undefined;
}

/** An input with its running mean and scatter. */
interface Running {
  readonly paths: readonly string[];
  readonly width: number;
  readonly mean: Tensor;
  readonly scatter: Tensor;
}

/**
 * How the inputs of some layers are spread over data: their scatter, summed on the device batch by batch, in one
 * compiled function per batch shape, with all adapters off. Layers that are fed by one tensor (q, k and v) are measured
 * once. Where the scatters need more than `memory`, the layers are measured group by group, each with forward passes of
 * its own over all data, up to its last layer.
 *
 * Combines means and scatters of batches as Chan, Golub and LeVeque (1979) do, so that a large mean costs no
 * digits: S = Sₐ + S_b + nₐn_b/n · δδᵀ, δ the difference of the means.
 *
 * @throws LowrankError `patch.data` where there is no data, a layer is not reached, or no token counts
 */
export async function measureInputs(
  model: Module,
  layers: ReadonlyMap<string, LinearLike>,
  options: MeasureOptions,
): Promise<MeasuredInput[]> {
  const first = await firstOf(options.batches());
  if (first === undefined) throw noData('the data that inputs are measured on', 'at least one batch', 'none');
  const groups = groupInputs(inputsOf(model, layers, first, options), options.memory ?? 2 ** 30);
  const measured: MeasuredInput[] = [];
  for (const group of groups)
    measured.push(
      ...(await measureGroup(
        model,
        new Map([...layers].filter(([path]) => group.some(({ paths }) => paths.includes(path)))),
        group,
        options,
      )),
    );
  const order = [...layers.keys()];
  return measured.sort((a, b) => order.indexOf(a.paths[0] ?? '') - order.indexOf(b.paths[0] ?? ''));
}

type Found = Pick<MeasuredInput, 'paths' | 'width'>;

/** Which layers have one input, by a trace alone. */
function inputsOf(
  model: Module,
  layers: ReadonlyMap<string, LinearLike>,
  { inputs }: InputBatch,
  { forward }: MeasureOptions,
): Found[] {
  const byTensor = new Map<Tensor, string[]>();
  const specs = Object.fromEntries(
    Object.entries(inputs).map(([name, { data, shape }]) => [
      name,
      {
        shape,
        dtype:
          data instanceof Float32Array
            ? ('f32' as const)
            : data instanceof Uint32Array
              ? ('u32' as const)
              : ('i32' as const),
      },
    ]),
  );
  trace((given) => {
    for (const [path, [x]] of seenInputs(model, layers, () => activateAdapter(model, [], () => forward(given)))) {
      if (x === undefined)
        throw noData(`the layer ${path}`, 'to be reached by the forward pass', 'no call, so it sees no token');
      byTensor.set(x, [...(byTensor.get(x) ?? []), path]);
    }
    return {};
  }, specs);
  return [...byTensor].map(([x, paths]) => ({ paths, width: x.shape.at(-1) ?? 0 }));
}

function groupInputs(found: readonly Found[], memory: number): Found[][] {
  const groups: Found[][] = [];
  let room = 0;
  for (const input of found) {
    const bytes = 4 * input.width ** 2;
    if (groups.length === 0 || bytes > room) {
      groups.push([]);
      room = memory;
    }
    groups.at(-1)?.push(input);
    room -= bytes;
  }
  return groups;
}

async function measureGroup(
  model: Module,
  layers: ReadonlyMap<string, LinearLike>,
  group: readonly Found[],
  { backend, batches, forward }: MeasureOptions,
): Promise<MeasuredInput[]> {
  const count = persistent([1], { name: 'tokens' });
  const running = group.map(({ paths, width }): Running => ({
    paths,
    width,
    mean: persistent([width], { name: `${paths[0]}.mean` }),
    scatter: persistent([width, width], { name: `${paths[0]}.scatter` }),
  }));
  const step = compile(backend, ({ counted, ...inputs }) => {
    if (counted === undefined) throw new TypeError('counted');
    const seen = seenInputs(model, layers, () => activateAdapter(model, [], () => forward(inputs)));
    const mask = reshape(cast(counted, 'f32'), [counted.size, 1]);
    for (const {
      paths: [path = ''],
      ...state
    } of running)
      addInputs(seen.get(path) ?? [], { ...state, mask, count });
    const total = add(count, sum(mask));
    assign(count, total);
    return { total };
  });
  try {
    for await (const { inputs, counted } of batches())
      await step.run({ ...inputs, counted: { data: counted, shape: [counted.length] } }, { read: [] });
    const [tokens = 0] = await readTensor(count);
    if (tokens === 0)
      throw noData(
        'the data that inputs are measured on',
        'a token that counts',
        'none',
        'With a mask of labels only the tokens that the loss covers count.',
      );
    const results: MeasuredInput[] = [];
    for (const { paths, width, scatter } of running) {
      const values = toFloat32(await readTensor(scatter), 'f32');
      if (!values.every(Number.isFinite))
        throw noData(`the inputs of ${paths[0]}`, 'finite numbers', 'NaN or infinity');
      results.push({ paths, width, tokens, scatter: values });
    }
    return results;
  } finally {
    await step.dispose();
    for (const { mean, scatter } of running) for (const state of [mean, scatter]) state.dispose();
    count.dispose();
  }
}

/** Σ m·x / Σ m, and what the tokens of one batch add to a running mean and scatter. */
function addInputs(
  [x]: readonly Tensor[],
  { width, mean, scatter, mask, count }: Pick<Running, 'width' | 'mean' | 'scatter'> & { mask: Tensor; count: Tensor },
): void {
  if (x === undefined || x.size !== mask.size * width)
    throw noData(
      'the tokens that count',
      `one number for each of ${x === undefined ? 0 : x.size / width} rows`,
      String(mask.size),
    );
  const rows = cast(reshape(x, [mask.size, width]), 'f32');
  const tokens = sum(mask);
  const own = div(sum(mul(rows, mask), { axis: 0 }), maximum(tokens, 1));
  const centered = mul(sub(rows, own), mask);
  const shift = sub(own, mean);
  const share = div(tokens, maximum(add(count, tokens), 1));
  const between = mul(reshape(shift, [width, 1]), reshape(mul(shift, mul(count, share)), [1, width]));
  assign(
    scatter,
    add(scatter, add(matmul(centered, centered, { transposeA: true }), broadcastTo(between, [width, width]))),
  );
  assign(mean, add(mean, mul(shift, share)));
}

async function firstOf(batches: Iterable<InputBatch> | AsyncIterable<InputBatch>): Promise<InputBatch | undefined> {
  for await (const batch of batches) return batch;
  return undefined;
}

function noData(what: string, expected: string, got: string, remedy?: string): LowrankError {
  return new LowrankError({ code: 'patch.data', what, expected, got, remedy });
}
