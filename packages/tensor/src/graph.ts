import { LowrankError } from '@lowrank/errors';
import type { Backend, DeviceBuffer } from './backend.js';
import type { DType, HostArray } from './dtype.js';
import { bytesPerElement, dtypeOf } from './dtype.js';
import type { AnyOp, Spec } from './op.js';
import type { Shape } from './shape.js';
import { shapeError, showShape, sizeOf } from './shape.js';

/**
 * The lazy graph. A Tensor is one output of a node; nodes hold what was asked for, never a result. Leaves are where data comes from:
 * a Source (persistent, on the host until first used, then on one backend), a Scalar (a number that the host may change between runs) and a
 * Placeholder (an argument of a compiled function).
 */
export type Node = OpNode | Source | Scalar | Placeholder;

let nextId = 0;
const scopes: string[] = [];

/** Names every op made inside `fn` after the module path that made it, for dumps and errors. */
export function scope<T>(name: string, fn: () => T): T {
  if (name === '') return fn();
  scopes.push(name);
  try {
    return fn();
  } finally {
    scopes.pop();
  }
}

export function currentScope(): string {
  return scopes.join('.');
}

export class OpNode {
  readonly kind = 'op';
  readonly id = nextId++;
  readonly scope = currentScope();

  constructor(
    readonly op: AnyOp,
    readonly attrs: object,
    readonly inputs: readonly Tensor[],
    readonly outputs: readonly Spec[],
  ) {}
}

export class Placeholder {
  readonly kind = 'input';
  readonly id = nextId++;
  constructor(
    readonly name: string,
    readonly spec: Spec,
    /** The caller hands over a persistent tensor, not host data: it may be written in place. */
    readonly donated = false,
  ) {}
}

/**
 * A number the host may change between runs without a new plan: learning rate, step, seed, LoRA scale, token count, cache position.
 * (A JavaScript number in an expression is a constant of the plan instead.)
 */
export class Scalar {
  readonly kind = 'scalar';
  readonly id = nextId++;
  readonly spec: Spec;

  constructor(
    public value: number,
    readonly dtype: 'f32' | 'i32' | 'u32' = 'f32',
    readonly name = 'scalar',
  ) {
    this.spec = { shape: [], dtype };
    this.tensor = new Tensor(this, 0);
  }

  /** This scalar as a 0-d tensor. */
  readonly tensor: Tensor;
}

/** Persistent data: weights, optimizer state, caches. Lives on the host until a backend needs it, then on that backend alone. */
export class Source {
  readonly kind = 'source';
  readonly id = nextId++;
  private storage: { backend: Backend; buffer: DeviceBuffer } | undefined;
  private disposed = false;

  constructor(
    readonly spec: Spec,
    private host: HostArray | undefined,
    readonly name: string,
  ) {}

  get bytes(): number {
    return sizeOf(this.spec.shape) * bytesPerElement(this.spec.dtype);
  }

  /** The backend this data lives on, once it does. */
  get backend(): Backend | undefined {
    return this.storage?.backend;
  }

  /** The buffer on `backend`; the first call moves the data there and lets go of the host's copy. */
  on(backend: Backend): DeviceBuffer {
    this.check();
    if (this.storage === undefined) {
      const buffer = backend.allocate(this.bytes, this.name);
      if (this.host !== undefined) backend.write(buffer, 0, this.host);
      this.host = undefined;
      this.storage = { backend, buffer };
    } else if (this.storage.backend !== backend) {
      throw new LowrankError({
        code: 'tensor.backend',
        what: `tensor ${this.name}`,
        expected: `data on ${backend.name}`,
        got: `data on ${this.storage.backend.name}`,
        remedy: 'Read it with data() and make a new tensor for the other backend.',
      });
    }
    return this.storage.buffer;
  }

  /** Replaces the data. Takes effect before any run that is asked for later. */
  write(data: HostArray): void {
    this.check();
    if (data.byteLength !== this.bytes) {
      throw shapeError(`write to tensor ${this.name}`, `${this.bytes} bytes for ${showShape(this.spec.shape)}`, `${data.byteLength} bytes`);
    }
    if (this.storage === undefined) this.host = data.slice();
    else this.storage.backend.write(this.storage.buffer, 0, data);
  }

  async read(offset = 0, bytes = this.bytes): Promise<ArrayBuffer> {
    this.check();
    if (this.storage !== undefined) return this.storage.backend.read(this.storage.buffer, offset, bytes);
    if (this.host === undefined) return new ArrayBuffer(bytes);
    const start = this.host.byteOffset + offset;
    return this.host.slice().buffer.slice(start - this.host.byteOffset, start - this.host.byteOffset + bytes) as ArrayBuffer;
  }

  /** Frees the device memory and the host copy. Reading or running with it afterwards is an error. */
  dispose(): void {
    this.storage?.buffer.destroy();
    this.storage = undefined;
    this.host = undefined;
    this.disposed = true;
  }

  private check(): void {
    if (!this.disposed) return;
    throw new LowrankError({ code: 'tensor.disposed', what: `tensor ${this.name}`, expected: 'a live tensor', got: 'a disposed one' });
  }
}

/** One value of the lazy graph: what it will be, not yet what it is. */
export class Tensor {
  constructor(
    readonly node: Node,
    readonly index: number,
  ) {}

  get spec(): Spec {
    const spec = this.node.kind === 'op' ? this.node.outputs[this.index] : this.node.spec;
    if (spec === undefined) throw shapeError(`output ${this.index} of ${describe(this)}`, 'an existing output', 'none');
    return spec;
  }

  get shape(): Shape {
    return this.spec.shape;
  }

  get dtype(): DType {
    return this.spec.dtype;
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  /** Frees a persistent tensor's memory; lazy tensors own none. */
  dispose(): void {
    if (this.node.kind === 'source') this.node.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** What a person calls this tensor: its name, or its op and the module path that made it. */
export function describe({ node }: Tensor): string {
  if (node.kind !== 'op') return node.name;
  return node.scope === '' ? node.op.name : `${node.op.name} in ${node.scope}`;
}

export interface TensorOptions {
  dtype?: DType;
  name?: string;
}

/** A persistent tensor from host data (taken over, not copied, when it is a typed array). */
export function tensor(data: HostArray | readonly number[] | number, shape?: Shape, options: TensorOptions = {}): Tensor {
  const numbers = typeof data === 'number' ? [data] : data;
  const typed = Array.isArray(numbers) ? Float32Array.from(numbers) : (numbers as HostArray);
  const dtype = options.dtype ?? dtypeOf(typed);
  const dims = shape ?? (typeof data === 'number' ? [] : [typed.length]);
  const expected = sizeOf(dims) * bytesPerElement(dtype);
  if (typed.byteLength !== expected) {
    throw shapeError(`tensor ${options.name ?? ''}`, `${sizeOf(dims)} ${dtype} elements for shape ${showShape(dims)}`, `${typed.byteLength} bytes`);
  }
  return new Tensor(new Source({ shape: dims, dtype }, typed, options.name ?? 'tensor'), 0);
}

/** A persistent zero-filled tensor: optimizer state, a cache, an accumulator. Costs no host memory. */
export function persistent(shape: Shape, options: TensorOptions = {}): Tensor {
  return new Tensor(new Source({ shape, dtype: options.dtype ?? 'f32' }, undefined, options.name ?? 'state'), 0);
}

/** A host-settable input of every plan that uses it; see {@link Scalar}. */
export function scalar(value: number, options: { dtype?: 'f32' | 'i32' | 'u32'; name?: string } = {}): Scalar {
  return new Scalar(value, options.dtype, options.name);
}

/** The Source behind a persistent tensor; an error for a lazy one. */
export function sourceOf(value: Tensor): Source {
  if (value.node.kind === 'source') return value.node;
  throw new LowrankError({ code: 'tensor.lazy', what: describe(value), expected: 'a persistent tensor', got: 'a lazy one' });
}
