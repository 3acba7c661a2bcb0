import { LowrankError } from '@lowrank/errors';
import type { WiredError } from './wiredError.js';
import { errorOf, wiredError } from './wiredError.js';

/** What structured cloning cannot carry, as it is carried instead. */
export type Part =
  /** Becomes a function that calls the one with this id, and returns a promise. */
  | { readonly is: 'function'; readonly id: number }
  /** `open` is a function that returns an iterator's `next` and `return`. */
  | { readonly is: 'iterable'; readonly open: number }
  | { readonly is: 'signal'; readonly id: number; readonly aborted: WiredError | undefined }
  | { readonly is: 'error'; readonly error: WiredError };

/** Keys from the value down to the part; of maps the maps' own keys. */
type Path = readonly unknown[];

/**
 * A value as a message carries it: structured cloning's own types as they are, and beside them, with their places, the
 * parts that it cannot carry. Nothing in the value is marked, so no value can be taken for a part.
 */
export interface Wire {
  readonly value: unknown;
  readonly parts: readonly (readonly [Path, Part])[];
}

export interface PackOptions {
  /** Gives a function an id under which the other side may call it. */
  readonly register: (fn: (...args: never[]) => unknown) => number;
  /** Gives a signal an id, under which its abort is told. */
  readonly listen: (signal: AbortSignal) => number;
}

export interface Packed {
  readonly wire: Wire;
  readonly transfer: Transferable[];
}

/** Marks a value whose buffers its giver has no use for: they are transferred, where others are copied. */
export class Given {
  constructor(readonly value: unknown) {}
}

/**
 * Packs a value. Numbers in typed arrays are copied, so that a view takes only its own bytes with it and no memory is
 * shared, unless the value is {@link Given}; then buffers go over without a copy.
 *
 * @throws LowrankError `worker.value` for a value that contains itself
 */
export function pack(value: unknown, options: PackOptions): Packed {
  const packer = new Packer(options, value instanceof Given);
  const packed = packer.walk(value instanceof Given ? value.value : value, []);
  return { wire: { value: packed, parts: packer.parts }, transfer: [...packer.transfer] };
}

class Packer {
  readonly parts: [Path, Part][] = [];
  readonly transfer = new Set<Transferable>();
  private readonly above = new Set<object>();

  constructor(
    private readonly options: PackOptions,
    private readonly given: boolean,
  ) {}

  walk(value: unknown, path: Path): unknown {
    if (typeof value === 'function') return this.part(path, { is: 'function', id: this.register(value) });
    if (typeof value !== 'object' || value === null) return value;
    if (ArrayBuffer.isView(value)) return this.view(value);
    if (value instanceof ArrayBuffer) return this.given ? this.hand(value) : value;
    if (value instanceof AbortSignal) return this.signal(value, path);
    if (value instanceof Error) return this.part(path, { is: 'error', error: wiredError(value) });
    const tag = Object.prototype.toString.call(value).slice(8, -1);
    // A folder of a browser can be iterated too, and is cloned.
    if (tag.startsWith('FileSystem')) return value;
    if (isAsyncIterable(value)) return this.iterable(value, path);
    if (this.above.has(value)) throw notCarried('a value that contains itself');
    this.above.add(value);
    const walked = this.within(value, tag, path);
    this.above.delete(value);
    return walked;
  }

  private within(value: object, tag: string, path: Path): unknown {
    if (Array.isArray(value)) return this.array(value, path);
    if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, this.walk(item, [...path, key])]));
    if (tag === 'FileList' || tag === 'Generator') return this.array([...(value as Iterable<unknown>)], path);
    if (tag !== 'Object') return value;
    if (Symbol.iterator in value) return this.array([...(value as Iterable<unknown>)], path);
    return this.object(value as Record<string, unknown>, path);
  }

  private array(items: readonly unknown[], path: Path): readonly unknown[] {
    let changed = false;
    const walked = items.map((item, at) => {
      const packed = this.walk(item, [...path, at]);
      changed ||= packed !== item;
      return packed;
    });
    return changed ? walked : items;
  }

  /** Methods that an object's class gives it go along as its own. */
  private object(value: Readonly<Record<string, unknown>>, path: Path): unknown {
    const isPlain = [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null);
    const names = isPlain ? Object.keys(value) : namesWithClass(value);
    let changed = !isPlain;
    const walked: Record<string, unknown> = {};
    for (const name of names) {
      const item = value[name];
      const own = typeof item === 'function' ? (item.bind(value) as unknown) : item;
      const packed = this.walk(own, [...path, name]);
      changed ||= packed !== item;
      // Not as an assignment, which for `__proto__` would be another thing.
      Object.defineProperty(walked, name, { value: packed, enumerable: true, writable: true, configurable: true });
    }
    return changed ? walked : value;
  }

  private register(fn: unknown): number {
    return this.options.register(fn as (...args: never[]) => unknown);
  }

  private signal(signal: AbortSignal, path: Path): undefined {
    const aborted = signal.aborted ? wiredError(signal.reason) : undefined;
    return this.part(path, { is: 'signal', id: this.options.listen(signal), aborted });
  }

  private iterable(value: AsyncIterable<unknown>, path: Path): undefined {
    const open = (): unknown => {
      const iterator = value[Symbol.asyncIterator]();
      return {
        next: () => iterator.next(),
        return: async () => iterator.return?.(),
      };
    };
    return this.part(path, { is: 'iterable', open: this.options.register(open) });
  }

  private part(path: Path, part: Part): undefined {
    this.parts.push([path, part]);
  }

  private view(view: ArrayBufferView): ArrayBufferView {
    const { buffer, byteOffset, byteLength } = view;
    if (this.given && buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) {
      this.hand(buffer);
      return view;
    }
    const bytes = new Uint8Array(byteLength);
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength));
    this.hand(bytes.buffer);
    // Of subclasses, such as Node's Buffer, the plain kind.
    const kind = (view as Uint8Array)[Symbol.toStringTag] ?? 'DataView';
    const make = (globalThis as unknown as Record<string, new (of: ArrayBuffer) => ArrayBufferView>)[kind];
    return make === undefined ? bytes : new make(bytes.buffer);
  }

  private hand(buffer: ArrayBuffer): ArrayBuffer {
    this.transfer.add(buffer);
    return buffer;
  }
}

function isAsyncIterable(value: object): value is AsyncIterable<unknown> {
  return Symbol.asyncIterator in value && typeof value[Symbol.asyncIterator] === 'function';
}

function namesWithClass(value: object): string[] {
  const names = new Set(Object.keys(value));
  for (
    let type = Object.getPrototypeOf(value) as object | null;
    type !== null && type !== Object.prototype;
    type = Object.getPrototypeOf(type) as object | null
  )
    for (const name of Object.getOwnPropertyNames(type)) if (name !== 'constructor') names.add(name);
  return [...names];
}

export function notCarried(got: string, cause?: unknown): LowrankError {
  return new LowrankError({
    code: 'worker.value',
    what: 'an argument for the trainer’s worker',
    expected: 'what structured cloning takes, functions, signals and async iterables',
    got,
    remedy: 'Give files, Blobs, plain objects or functions.',
    cause,
  });
}

export interface UnpackOptions {
  /** A function that calls the other side's. */
  readonly proxy: (id: number) => (...args: unknown[]) => Promise<unknown>;
  /** A signal that is aborted when the other side's is. */
  readonly signal: (id: number) => AbortController;
}

/** The value again: functions are asynchronous now, and otherwise what they were. */
export function unpack({ value, parts }: Wire, options: UnpackOptions): unknown {
  let root = value;
  for (const [path, part] of parts) {
    const own = partOf(part, options);
    const last = path.at(-1);
    if (path.length === 0) {
      root = own;
      continue;
    }
    const place = path.slice(0, -1).reduce((within, key) => read(within, key), root);
    if (place instanceof Map) place.set(last, own);
    else Object.defineProperty(place, last as string, { value: own, enumerable: true, writable: true });
  }
  return root;
}

function read(place: unknown, key: unknown): unknown {
  return place instanceof Map ? (place.get(key) as unknown) : (place as Record<string, unknown>)[key as string];
}

function partOf(part: Part, { proxy, signal }: UnpackOptions): unknown {
  if (part.is === 'function') return proxy(part.id);
  if (part.is === 'error') return errorOf(part.error);
  if (part.is === 'iterable') return iterableOf(proxy(part.open));
  const controller = signal(part.id);
  if (part.aborted !== undefined) controller.abort(errorOf(part.aborted));
  return controller.signal;
}

interface RemoteIterator {
  readonly next: () => Promise<IteratorResult<unknown>>;
  readonly return: () => Promise<unknown>;
}

function iterableOf(open: () => Promise<unknown>): AsyncIterable<unknown> {
  return {
    async *[Symbol.asyncIterator]() {
      const iterator = (await open()) as RemoteIterator;
      let ended = false;
      try {
        for (;;) {
          const { done, value } = await iterator.next();
          ended = done === true;
          if (ended) return;
          yield value;
        }
      } finally {
        if (!ended) await iterator.return();
      }
    },
  };
}
