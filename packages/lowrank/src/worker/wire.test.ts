import { expect, test } from 'vitest';
import type { Packed, Wire } from './wire.js';
import { Given, pack, unpack } from './wire.js';

type Fn = (...args: never[]) => unknown;

/** What arrives on another thread. */
function cross(value: unknown): { arrived: unknown; packed: Packed; functions: Map<number, Fn> } {
  const functions = new Map<number, Fn>();
  const add = (fn: Fn): number => functions.set(functions.size, fn).size - 1;
  const packed = pack(value, { register: add, listen: () => 0 });
  const { wire, transfer } = packed;
  const arrived = unpack(structuredClone<Wire>(wire, { transfer }), {
    proxy:
      (id) =>
      async (...args) =>
        functions.get(id)?.(...(args as never[])),
    signal: () => new AbortController(),
  });
  return { arrived, packed, functions };
}

test('what structured cloning takes goes over as it is, without a copy before', () => {
  const rows = [
    { prompt: 'a', completion: 'b' },
    { __proto__: null, nested: [1, new Date(5), null, undefined] },
  ];
  const { arrived, packed } = cross({ rows });
  expect(arrived).toEqual({ rows });
  expect((packed.wire.value as { rows: unknown }).rows).toBe(rows);
  expect(packed.wire.parts).toEqual([]);
});

interface Arrived {
  readonly list: readonly { readonly name: string; next(by: number): Promise<number> }[];
  readonly map: ReadonlyMap<string, { apply(x: number): Promise<number> }>;
}

test('functions arrive as asynchronous ones, wherever they stand, and methods keep their object', async () => {
  class Counter {
    private count = 1;
    constructor(readonly name: string) {}
    next(by: number): number {
      return (this.count += by);
    }
  }
  const given = { list: [new Counter('c')], map: new Map([['double', { apply: (x: number) => 2 * x }]]) };
  const arrived = cross(given).arrived as Arrived;
  const [counter] = arrived.list;
  expect(counter?.name).toBe('c');
  expect(await counter?.next(4)).toBe(5);
  expect(await counter?.next(4)).toBe(9);
  expect(await arrived.map.get('double')?.apply(4)).toBe(8);
  expect(await (cross((x: number) => x + 1).arrived as (x: number) => Promise<number>)(1)).toBe(2);
});

test('a view takes its own bytes along and nothing else; a given one goes without a copy', () => {
  const memory = new Uint8Array(1000).map((_, at) => at);
  const copied = cross({ part: memory.subarray(10, 13), shared: new Int16Array(new SharedArrayBuffer(4)) });
  const { part, shared } = copied.arrived as { part: Uint8Array; shared: Int16Array };
  expect([part.buffer.byteLength, ...part]).toEqual([3, 10, 11, 12]);
  expect([shared.buffer instanceof ArrayBuffer, shared.constructor, ...shared]).toEqual([true, Int16Array, 0, 0]);
  expect(memory.byteLength).toBe(1000);
  const { arrived, packed } = cross(new Given({ file: memory }));
  expect((arrived as { file: Uint8Array }).file).toHaveLength(1000);
  expect(packed.transfer).toHaveLength(1);
  expect(memory.byteLength).toBe(0);
  const buffer = cross(Buffer.from('abc')).arrived;
  expect(buffer).toEqual(new Uint8Array([97, 98, 99]));
});

test('iterables arrive: asynchronous ones item by item, and their end is told', async () => {
  let ended = false;
  async function* pieces(): AsyncGenerator<string> {
    try {
      for (const piece of ['a', 'b', 'c']) yield await Promise.resolve(piece);
    } finally {
      ended = true;
    }
  }
  function* files(): Generator<number> {
    yield 1;
    yield 2;
  }
  expect(cross(files()).arrived).toEqual([1, 2]);
  const opened = cross({ pieces: pieces() });
  for await (const piece of (opened.arrived as { pieces: AsyncIterable<string> }).pieces) {
    expect(piece).toBe('a');
    break;
  }
  expect(ended).toBe(true);
});

test('a value that contains itself is an error with a sentence', () => {
  const self: Record<string, unknown> = {};
  self.self = { self };
  expect(() => cross(self)).toThrow(/structured cloning/);
});
