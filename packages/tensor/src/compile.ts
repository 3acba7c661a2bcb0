import { aFunction, aBoolean, kind, options as optionsOf, signature } from './arguments.js';
import { LowrankError } from '@lowrank/errors';
import { Arena } from './arena.js';
import type { Backend, BackendSpec, Executable, Plan } from './backend.js';
import type { DeviceBuffer } from './memory.js';
import type { HostArray } from './dtype.js';
import { hostArray } from './dtype.js';
import type { Source } from './source.js';
import { sourceOf, Tensor } from './graph.js';
import { writeNumbers } from './hostNumbers.js';
import type { BuildPlanOptions } from './plan/build.js';
import { buildPlan } from './plan/build.js';
import { sizeOf } from './shape.js';
import type { HostTensor, InputSpec, Trace, Traceable } from './trace.js';
import { specOf, trace } from './trace.js';

/** Options of `compile`. */
export interface CompileOptions extends BuildPlanOptions {
  /** Memory for intermediates, to share with other compiled functions on the same backend. */
  arena?: Arena;
}

/** Arguments by name: host data, or persistent tensors. */
export type Inputs = Readonly<Record<string, HostTensor | Tensor>>;

/** What `run` returns: a promise for each output to be read. */
export type Results<Outputs> = { readonly [Name in keyof Outputs]: Promise<HostArray> };

interface Prepared {
  readonly plan: Plan;
  readonly executable: Executable;
  readonly inputs: Uint8Array<ArrayBuffer>;
  readonly scalars: Uint8Array<ArrayBuffer>;
  readonly own: readonly DeviceBuffer[];
  readonly arenaVersion: number;
  /** Settles when every output to be read has arrived: until then nothing of this may be freed. */
  reads: Promise<unknown>;
}

/**
 * A function on tensors, traced once per signature of its inputs (names, shapes, dtypes), planned once, and replayed
 * from then on. JavaScript numbers inside it are constants; `scalar()`s are read anew before each run. State changes
 * through `assign`.
 *
 * An argument may be host data, copied in before the run, or a persistent tensor, bound as it is. The latter is
 * donated: `assign(inputs.x, value)` writes the result into its storage, and one plan serves any tensor of that shape.
 */
export class CompiledFunction<Outputs extends Record<string, Tensor>> {
  private readonly plans = new Map<string, Promise<Plan>>();
  private readonly prepared = new Map<string, Promise<Prepared>>();
  private readonly arena: Arena;
  private readonly ownsArena: boolean;
  private last: Promise<unknown> = Promise.resolve();
  private disposed = false;

  constructor(
    readonly backend: Backend,
    private readonly fn: Traceable<Outputs>,
    private readonly options: CompileOptions,
  ) {
    this.arena = options.arena ?? new Arena(backend);
    this.ownsArena = options.arena === undefined;
  }

  /** The plan for inputs of these specs, without running it and without a device's memory. */
  plan(inputs: Readonly<Record<string, InputSpec>>): Plan {
    return planFunction(this.fn, inputs, this.backend.spec, this.options);
  }

  /** The trace for inputs of these specs: for the reference and for `runUnplanned`. */
  trace(inputs: Readonly<Record<string, InputSpec>>): Trace {
    return trace(this.fn, inputs, this.backend.spec.precision);
  }

  /** Makes all that a run with such inputs will need, so that the run itself allocates nothing. */
  async prepare(inputs: Readonly<Record<string, InputSpec>>): Promise<Plan> {
    return (await this.ready(inputs)).plan;
  }

  /**
   * Replays the plan on these inputs, after all earlier runs. Resolves when the device has taken the work; the
   * outputs arrive later. Outputs not named in `read` are not copied out.
   */
  async run<Name extends keyof Outputs & string>(
    inputs: Inputs = {},
    options: { read?: readonly Name[] } = {},
  ): Promise<Results<Pick<Outputs, Name>>> {
    const turn = this.last.then(() => this.runNow(inputs, options.read));
    this.last = turn.catch(() => undefined);
    return (await turn) as Results<Pick<Outputs, Name>>;
  }

  /** Frees bindings and memory of its own. Persistent tensors belong to the caller. */
  async dispose(): Promise<void> {
    this.disposed = true;
    await this.last;
    for (const prepared of this.prepared.values()) await release(await prepared);
    this.prepared.clear();
    this.plans.clear();
    if (this.ownsArena) this.arena.dispose();
  }

  private async runNow(
    inputs: Inputs,
    read: readonly string[] | undefined,
  ): Promise<Record<string, Promise<HostArray>>> {
    if (this.disposed)
      throw new LowrankError({
        code: 'tensor.disposed',
        what: 'a compiled function',
        expected: 'a live one',
        got: 'a disposed one',
      });
    const specs = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, checkedSpec(name, input)]));
    const prepared = await this.ready(specs, donations(inputs));
    const { plan, executable } = prepared;
    fillInputs(prepared, inputs);
    const wanted = plan.outputs.flatMap(({ name }, at) => (read === undefined || read.includes(name) ? [at] : []));
    const { outputs } = await executable.run({ inputs: prepared.inputs, scalars: prepared.scalars, read: wanted });
    prepared.reads = Promise.allSettled([prepared.reads, ...outputs]);
    return Object.fromEntries(
      wanted.map((index, at) => {
        const { name, dtype, shape } = plan.outputs[index] ?? { name: '', dtype: 'f32' as const, shape: [] };
        return [
          name,
          (outputs[at] ?? Promise.resolve(new ArrayBuffer(0))).then((bytes) =>
            hostArray(dtype, bytes, 0, sizeOf(shape)),
          ),
        ];
      }),
    );
  }

  private async ready(specs: Readonly<Record<string, InputSpec>>, donated: Donations = {}): Promise<Prepared> {
    const shape = JSON.stringify(Object.entries(specs).sort(([a], [b]) => (a < b ? -1 : 1)));
    const signature = `${shape} ${Object.entries(donated)
      .map(([name, { id }]) => `${name}=${id}`)
      .join()}`;
    const known = this.prepared.get(signature);
    if (known !== undefined) {
      const prepared = await known;
      if (prepared.arenaVersion === this.arena.version) return prepared;
      await release(prepared);
      return this.remember(signature, this.bind(prepared.plan, donated));
    }
    return this.remember(
      signature,
      this.planOnce(shape, specs).then((plan) => this.bind(plan, donated)),
    );
  }

  private planOnce(shape: string, specs: Readonly<Record<string, InputSpec>>): Promise<Plan> {
    const known = this.plans.get(shape);
    if (known !== undefined) return known;
    const made = this.tunedPlan(specs);
    this.plans.set(shape, made);
    made.catch(() => this.plans.delete(shape));
    return made;
  }

  /** What the backend measures may make it another plan. */
  private async tunedPlan(specs: Readonly<Record<string, InputSpec>>): Promise<Plan> {
    const { kernelChoices } = this.backend;
    const version = kernelChoices?.version;
    const plan = this.plan(specs);
    await kernelChoices?.tune(plan);
    return kernelChoices?.version === version ? plan : this.plan(specs);
  }

  private async remember(signature: string, making: Promise<Prepared>): Promise<Prepared> {
    this.prepared.set(signature, making);
    try {
      return await making;
    } catch (error) {
      this.prepared.delete(signature);
      throw error;
    }
  }

  private async bind(plan: Plan, donated: Donations): Promise<Prepared> {
    const arenas = this.arena.reserve(
      plan.buffers.flatMap((buffer) => (buffer.kind === 'arena' ? [buffer.bytes] : [])),
    );
    const arenaVersion = this.arena.version;
    const own: DeviceBuffer[] = [];
    let nextArena = 0;
    const buffers = plan.buffers.map((buffer) => {
      if (buffer.kind === 'source') return buffer.source.on(this.backend);
      if (buffer.kind === 'argument') return argument(buffer.name, donated).on(this.backend);
      const memory =
        buffer.kind === 'arena' ? arenas[nextArena++] : this.backend.allocate(Math.max(4, buffer.bytes), buffer.kind);
      if (memory === undefined) throw new TypeError('the arena has fewer buffers than the plan');
      if (buffer.kind !== 'arena') own.push(memory);
      return memory;
    });
    const sizeOfKind = (kind: string): number => plan.buffers.find((buffer) => buffer.kind === kind)?.bytes ?? 0;
    const executable = await this.backend.prepare(plan, buffers);
    return {
      plan,
      executable,
      inputs: new Uint8Array(sizeOfKind('inputs')),
      scalars: new Uint8Array(sizeOfKind('scalars')),
      own,
      arenaVersion,
      reads: Promise.resolve(),
    };
  }
}

type Donations = Readonly<Record<string, Source>>;

function donations(inputs: Inputs): Donations {
  return Object.fromEntries(
    Object.entries(inputs).flatMap(([name, input]) => (input instanceof Tensor ? [[name, sourceOf(input)]] : [])),
  );
}

function argument(name: string, donated: Donations): Source {
  const found = donated[name];
  if (found !== undefined) return found;
  throw new LowrankError({
    code: 'tensor.argument',
    what: `the argument ${name}`,
    expected: 'a persistent tensor',
    got: 'none',
    remedy: 'Plans over donated arguments are made at the first run.',
  });
}

async function release({ executable, own, reads }: Prepared): Promise<void> {
  await reads;
  executable.dispose();
  own.forEach((buffer) => buffer.destroy());
}

function checkedSpec(name: string, input: HostTensor | Tensor): InputSpec {
  const spec = specOf(input);
  if (input instanceof Tensor || input.data.length === sizeOf(spec.shape)) return spec;
  throw new LowrankError({
    code: 'tensor.shape',
    what: `the input ${name}`,
    expected: `${sizeOf(spec.shape)} elements for shape [${spec.shape.join(', ')}]`,
    got: `${input.data.length}`,
  });
}

function fillInputs({ plan, inputs, scalars }: Prepared, values: Inputs): void {
  for (const { name, offset, buffer } of plan.inputs) {
    const input = values[name];
    const data = input instanceof Tensor ? undefined : input?.data;
    if (data === undefined || plan.buffers[buffer]?.kind !== 'inputs') continue;
    inputs.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
  }
  writeNumbers(plan.scalars, scalars.buffer);
}

export const aBackend = kind(
  'a Backend, as createCpuBackend() gives',
  (value) => typeof value === 'object' && value !== null && 'prepare' in value && 'spec' in value,
);
const checkCompile = signature('compile', {
  backend: aBackend,
  fn: aFunction,
  options: optionsOf({ arena: kind('an Arena', (value) => value instanceof Arena), fusion: aBoolean }),
});

/** Compiles `fn` for a backend: see {@link CompiledFunction}. */
export function compile<Outputs extends Record<string, Tensor>>(
  backend: Backend,
  fn: Traceable<Outputs>,
  options: CompileOptions = {},
): CompiledFunction<Outputs> {
  checkCompile(backend, fn, options);
  return new CompiledFunction(backend, fn, options);
}

/**
 * The plan of a function for a backend of this spec: exact bytes and floating-point operations, with no backend at hand
 * and no data.
 */
export function planFunction<Outputs extends Record<string, Tensor>>(
  fn: Traceable<Outputs>,
  inputs: Readonly<Record<string, InputSpec>>,
  spec: BackendSpec,
  options: BuildPlanOptions = {},
): Plan {
  return buildPlan(trace(fn, inputs, spec.precision), spec, options);
}
