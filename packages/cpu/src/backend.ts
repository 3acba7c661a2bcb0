import { LowrankError } from '@lowrank/errors';
import type { Backend, HostArray } from '@lowrank/tensor';
import type {
  AttrsOf,
  BackendSpec,
  DeviceBuffer,
  Executable,
  KernelName,
  MemoryReport,
  Plan,
  ProfiledRun,
  RunRequest,
  Step,
} from '@lowrank/tensor/backend';
import { alignment, Heap } from './heap.js';
import type { Call, CpuKernel, Place } from './kernel.js';
import { kernels } from './kernels/index.js';
import { loadModule } from './module.js';
import { canShareMemory, coreCount, yieldToEventLoop } from './platform.js';
import { Pool } from './pool.js';
import { Recorder } from './recorder.js';
import type { RecordedStep } from './stepTimes.js';
import { timeSteps } from './stepTimes.js';

/** Options of `createCpuBackend`. */
export interface CpuOptions {
  /**
   * Threads that work, the calling one included. Default: one per core, 16 at most; 1 where memory cannot be shared.
   */
  threads?: number;
  /** Most memory to use, at most 4 GiB (the default): what WebAssembly can address. */
  maximumBytes?: number;
  /**
   * Use relaxed SIMD (fused multiply-add) where the engine has it; the default. False gives the same bits on every
   * machine.
   */
  relaxedSimd?: boolean;
}

/** Longest time in milliseconds that runs keep the event loop waiting, signals and timers included, beyond one run. */
const patience = 20;
const addressable = 65536 * 65536;

/**
 * The CPU backend: WebAssembly SIMD kernels over one memory, on every core where memory can be shared with worker
 * threads (Node; cross-origin isolated pages), else on the calling thread. Results do not depend on the number of
 * threads.
 */
export async function createCpuBackend(options: CpuOptions = {}): Promise<Backend> {
  const shared = canShareMemory() && options.threads !== 1;
  const threads = shared ? Math.max(1, options.threads ?? Math.min(16, coreCount())) : 1;
  const maximumBytes = Math.min(addressable, options.maximumBytes ?? addressable);
  const { module, tier } = await loadModule(shared, options.relaxedSimd);
  const heap = new Heap({ shared, maximumBytes });
  return new CpuBackend({ heap, pool: new Pool(heap, module, threads), tier, maximumBytes });
}

interface Parts {
  heap: Heap;
  pool: Pool;
  tier: string;
  maximumBytes: number;
}

class CpuBackend implements Backend {
  readonly name = 'cpu';
  readonly description: string;
  readonly spec: BackendSpec;
  readonly memory = new Ledger();
  private readonly heap: Heap;
  private readonly pool: Pool;
  private disposed = false;

  constructor({ heap, pool, tier, maximumBytes }: Parts) {
    this.heap = heap;
    this.pool = pool;
    this.description = `WebAssembly SIMD (${tier}), ${pool.threads} ${pool.threads === 1 ? 'thread' : 'threads'}`;
    this.spec = {
      alignment,
      maxBufferBytes: maximumBytes,
      maxBindingBytes: maximumBytes,
      maxOperands: 16,
      separateReadWrite: false,
      fusion: { elementwiseInstructions: 32, matmulEpilogue: true, absorption: false },
      workspaceBytes: (op, inputs, outputs, attrs) =>
        kernelOf(op).workspaceBytes?.(inputs, outputs, attrs as AttrsOf<KernelName>) ?? 0,
    };
  }

  allocate(bytes: number, label: string): DeviceBuffer {
    this.check();
    return new CpuBuffer(this.heap, this.memory, bytes, label);
  }

  write(buffer: DeviceBuffer, offset: number, data: HostArray): void {
    this.check();
    const address = addressOf(buffer, offset, data.byteLength);
    this.heap.bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), address);
  }

  async read(buffer: DeviceBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    const wait = this.ready();
    if (wait !== undefined) await wait;
    return copyOut(this.heap, addressOf(buffer, offset, bytes), bytes);
  }

  async prepare(plan: Plan, buffers: readonly DeviceBuffer[]): Promise<Executable> {
    const wait = this.ready();
    if (wait !== undefined) await wait;
    const recorder = new Recorder(this.heap, this.pool.threads);
    const ends: number[] = [];
    const place = <T extends { buffer: number; offset: number; bytes: number }>(
      operand: T,
    ): T & { address: number } => {
      const buffer = buffers[operand.buffer];
      if (buffer === undefined) throw new TypeError(`plan buffer ${operand.buffer} is missing`);
      return { ...operand, address: addressOf(buffer, operand.offset, operand.bytes) };
    };
    try {
      for (const step of plan.steps) {
        lower(step, place, recorder);
        ends.push(recorder.count);
      }
    } catch (error) {
      recorder.dispose();
      throw error;
    }
    const find = (kind: string): DeviceBuffer | undefined =>
      buffers[plan.buffers.findIndex((buffer) => buffer.kind === kind)];
    return new CpuExecutable({
      heap: this.heap,
      pool: this.pool,
      recorder,
      steps: plan.steps.map((step, at) => ({ step, from: ends[at - 1] ?? 0, to: ends[at] ?? 0 })),
      inputs: find('inputs'),
      scalars: find('scalars'),
      outputs: plan.outputs.map((output) => ({ address: place(output).address, bytes: output.bytes })),
      ready: () => this.ready(),
    });
  }

  async finish(): Promise<void> {
    await this.ready();
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.pool.dispose();
  }

  /** A promise only where a run has stalled: else what is asked for is done at once, in the order of the calls. */
  private ready(): Promise<void> | undefined {
    if (this.pool.stalled !== undefined) return this.settled();
    this.check();
    return undefined;
  }

  private async settled(): Promise<void> {
    while (this.pool.stalled !== undefined) await this.pool.stalled;
    this.check();
  }

  private check(): void {
    if (!this.disposed) return this.pool.check();
    throw new LowrankError({
      code: 'cpu.disposed',
      what: 'the CPU backend',
      expected: 'a live backend',
      got: 'a disposed one',
    });
  }
}

/**
 * What `allocate` has given out, in whole words: the plans' own parameters and threads' scratch memory are not counted.
 */
class Ledger implements MemoryReport {
  buffers = 0;
  bytes = 0;
  peakBytes = 0;

  add(count: number, bytes: number): void {
    this.buffers += count;
    this.bytes += bytes;
    this.peakBytes = Math.max(this.peakBytes, this.bytes);
  }
}

class CpuBuffer implements DeviceBuffer {
  readonly address: number;
  private alive = true;

  constructor(
    private readonly heap: Heap,
    private readonly ledger: Ledger,
    readonly bytes: number,
    readonly label: string,
  ) {
    this.address = heap.allocate(bytes, label);
    ledger.add(1, this.wholeBytes);
  }

  private get wholeBytes(): number {
    return 4 * Math.ceil(this.bytes / 4);
  }

  destroy(): void {
    if (!this.alive) return;
    this.alive = false;
    this.heap.free(this.address);
    this.ledger.add(-1, -this.wholeBytes);
  }

  /** Address of a slice, checked. */
  at(offset: number, bytes: number): number {
    if (!this.alive)
      throw new LowrankError({
        code: 'cpu.destroyed',
        what: `buffer ${this.label}`,
        expected: 'a live buffer',
        got: 'a destroyed one',
      });
    if (offset < 0 || offset + bytes > this.bytes + 3) {
      throw new LowrankError({
        code: 'cpu.range',
        what: `buffer ${this.label}`,
        expected: `a slice within ${this.bytes} bytes`,
        got: `${bytes} bytes from ${offset}`,
      });
    }
    return this.address + offset;
  }
}

function addressOf(buffer: DeviceBuffer, offset: number, bytes: number): number {
  if (buffer instanceof CpuBuffer) return buffer.at(offset, bytes);
  throw new LowrankError({
    code: 'cpu.foreign',
    what: 'a buffer',
    expected: 'one allocated by this backend',
    got: 'one of another backend',
  });
}

function copyOut(heap: Heap, address: number, bytes: number): ArrayBuffer {
  const copy = new Uint8Array(bytes);
  copy.set(heap.bytes.subarray(address, address + bytes));
  return copy.buffer;
}

/**
 * The kernel of an op. The table is checked op by op where it is made; here the attributes are whatever the plan says.
 */
function kernelOf(op: KernelName): CpuKernel<KernelName> {
  const kernel = kernels[op] as CpuKernel<KernelName> | undefined;
  if (kernel === undefined)
    throw new LowrankError({
      code: 'cpu.op',
      what: `op ${op}`,
      expected: `one of ${Object.keys(kernels).join(', ')}`,
      got: op,
    });
  return kernel;
}

function lower(step: Step, place: (operand: Step['inputs'][number]) => Place, recorder: Recorder): void {
  const call: Call<KernelName> = {
    attrs: step.attrs as AttrsOf<KernelName>,
    inputs: step.inputs.map(place),
    outputs: step.outputs.map(place),
    workspace: step.workspace === undefined ? 0 : place(step.workspace).address,
    recorder,
  };
  kernelOf(step.op).lower(call);
}

interface ExecutableParts {
  heap: Heap;
  pool: Pool;
  recorder: Recorder;
  steps: readonly RecordedStep[];
  inputs: DeviceBuffer | undefined;
  scalars: DeviceBuffer | undefined;
  outputs: readonly { address: number; bytes: number }[];
  ready: () => Promise<void> | undefined;
}

class CpuExecutable implements Executable {
  private readonly records: number;
  private rested = performance.now();

  constructor(private readonly parts: ExecutableParts) {
    this.records = parts.recorder.finish();
  }

  async run({ inputs, scalars, read }: RunRequest): Promise<{ outputs: Promise<ArrayBuffer>[] }> {
    const { heap, pool, recorder, outputs } = this.parts;
    await this.begin({ inputs, scalars });
    const rest = pool.run(this.records, recorder.count);
    if (rest !== undefined) await rest;
    const copies = read.map((index) => {
      const output = outputs[index];
      if (output === undefined) throw new RangeError(`output ${index} of ${outputs.length}`);
      return Promise.resolve(copyOut(heap, output.address, output.bytes));
    });
    const now = performance.now();
    if (now - this.rested > patience) {
      await yieldToEventLoop();
      this.rested = performance.now();
    }
    return { outputs: copies };
  }

  async profile(request: Omit<RunRequest, 'read'>): Promise<ProfiledRun> {
    const { pool, steps } = this.parts;
    await this.begin(request);
    return timeSteps(pool, this.records, steps);
  }

  dispose(): void {
    this.parts.recorder.dispose();
  }

  private async begin({ inputs, scalars }: Omit<RunRequest, 'read'>): Promise<void> {
    const wait = this.parts.ready();
    if (wait === undefined) return this.copyAllIn(inputs, scalars);
    // The caller may use their memory again.
    const [held, heldScalars] = [inputs.slice(), scalars.slice()];
    await wait;
    this.copyAllIn(held, heldScalars);
  }

  private copyAllIn(inputs: Uint8Array, scalars: Uint8Array): void {
    this.copyIn(this.parts.inputs, inputs);
    this.copyIn(this.parts.scalars, scalars);
  }

  private copyIn(buffer: DeviceBuffer | undefined, bytes: Uint8Array): void {
    if (buffer === undefined || bytes.byteLength === 0) return;
    this.parts.heap.bytes.set(bytes, addressOf(buffer, 0, bytes.byteLength));
  }
}
