import { readFile } from 'node:fs/promises';
import { afterAll, expect, test } from 'vitest';

interface Compiler {
  compile: () => Promise<{ baseline: { bytes: Uint8Array<ArrayBuffer> } }>;
  render: (compiled: unknown) => Readonly<Record<string, string>>;
}

// The compiler puts its own names on the global object.
const before = new Set(Object.getOwnPropertyNames(globalThis));
afterAll(() => {
  for (const name of Object.getOwnPropertyNames(globalThis))
    if (!before.has(name)) Reflect.deleteProperty(globalThis, name);
});

const script = new URL('../../scripts/compile.mjs', import.meta.url).href;

test('the committed kernels are what the sources compile to', async () => {
  const { compile, render } = (await import(script)) as Compiler;
  const compiled = await compile();
  for (const [name, text] of Object.entries(render(compiled)))
    expect(text).toBe(await readFile(new URL(`./${name}`, import.meta.url), 'utf8'));
  const module = await WebAssembly.compile(compiled.baseline.bytes);
  // Static data would be written again by every thread that starts.
  expect(WebAssembly.Module.imports(module)).toEqual([{ module: 'env', name: 'memory', kind: 'memory' }]);
  expect(sections(compiled.baseline.bytes)).not.toContain(11);
  // Compiling takes seconds, and more on a busy machine.
}, 180_000);

/** Section numbers of a WebAssembly module; 11 is data. */
function sections(bytes: Uint8Array): number[] {
  const found: number[] = [];
  for (let at = 8; at < bytes.length;) {
    found.push(bytes[at++] ?? 0);
    let [size, shift] = [0, 0];
    for (let byte = 0x80; byte & 0x80; shift += 7) {
      byte = bytes[at++] ?? 0;
      size |= (byte & 0x7f) << shift;
    }
    at += size;
  }
  return found;
}
