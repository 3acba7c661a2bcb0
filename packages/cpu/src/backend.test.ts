import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'vite';
import { expect, test } from 'vitest';
import { createCpuBackend } from './backend.js';
import { normal, run, seedNumbers } from './kernels/testing.js';

seedNumbers();

const root = fileURLToPath(new URL('..', import.meta.url));

test('says what it is, counts what it holds, and refuses after its end', async () => {
  const backend = await createCpuBackend({ threads: 2 });
  expect(backend.name).toBe('cpu');
  expect(backend.description).toMatch(/^WebAssembly SIMD \((relaxed|baseline)\), 2 threads$/);
  const buffer = backend.allocate(1000, 'numbers');
  expect(backend.memory).toMatchObject({ buffers: 1, bytes: 1000, peakBytes: 1000 });
  backend.write(buffer, 8, Float32Array.of(1, 2, 3));
  expect(new Float32Array(await backend.read(buffer, 4, 16))).toEqual(Float32Array.of(0, 1, 2, 3));
  expect(() => backend.write(buffer, 996, Float32Array.of(1, 2))).toThrowError(/a slice within 1000 bytes/);
  buffer.destroy();
  buffer.destroy();
  expect(backend.memory).toMatchObject({ buffers: 0, bytes: 0, peakBytes: 1000 });
  await expect(backend.read(buffer, 0, 4)).rejects.toMatchObject({ code: 'cpu.destroyed' });
  backend.dispose();
  backend.dispose();
  expect(() => backend.allocate(4, 'more')).toThrowError(expect.objectContaining({ code: 'cpu.disposed' }) as Error);
});

test('another backend’s buffer is refused', async () => {
  const backend = await createCpuBackend({ threads: 1 });
  expect(() => backend.write({ bytes: 4, destroy: () => undefined }, 0, Float32Array.of(1))).toThrowError(
    expect.objectContaining({ code: 'cpu.foreign' }) as Error,
  );
  backend.dispose();
});

test('the bits do not depend on the number of threads', async () => {
  const results = [];
  const [a, b] = [normal([301, 203]), normal([203, 97])];
  const q = [normal([2, 150, 4, 16]), normal([2, 150, 2, 16]), normal([2, 150, 2, 16])];
  for (const threads of [1, 2, 3]) {
    const backend = await createCpuBackend({ threads });
    results.push([
      await run([backend, 'matmul'], [a, b], { transposeA: false, transposeB: false }),
      await run([backend, 'attention'], q, {
        causal: true,
        scale: 0.25,
        window: 0,
        softcap: 0,
        segments: false,
        lengths: false,
      }),
      await run([backend, 'reduce'], [normal([1])], { kind: 'sum', outer: 1, length: 1, inner: 1, shape: [] }).then(
        () => run([backend, 'squaredNorm'], [a], {}),
      ),
    ]);
    backend.dispose();
  }
  expect(results[1]).toEqual(results[0]);
  expect(results[2]).toEqual(results[0]);
});

test('many short runs on more threads than cores end and stay right', async () => {
  const backend = await createCpuBackend({ threads: 4 });
  const [a, b] = [normal([33, 17]), normal([17, 29])];
  const first = await run([backend, 'matmul'], [a, b], { transposeA: false, transposeB: false });
  for (let round = 0; round < 200; round++)
    expect(await run([backend, 'matmul'], [a, b], { transposeA: false, transposeB: false })).toEqual(first);
  backend.dispose();
});

test('a process with worker threads ends by itself, disposed or not', async () => {
  const code = await bundle(`
    import { createCpuBackend } from '${root}src/index.ts';
    const backend = await createCpuBackend({ threads: 3 });
    const buffer = backend.allocate(16, 'x');
    const attrs = { program: [{ fn: 'constant', value: 7 }], shape: [4] };
    const outputs = [{ buffer: 0, offset: 0, bytes: 16, shape: [4], dtype: 'f32' }];
    const steps = [{ op: 'elementwise', attrs, inputs: [], outputs, scope: '', flops: 0 }];
    const buffers = [{ kind: 'arena', bytes: 16 }];
    const executable = await backend.prepare({ buffers, steps, inputs: [], scalars: [], outputs: [] }, [buffer]);
    const none = new Uint8Array();
    for (let i = 0; i < 50; i++) await executable.run({ inputs: none, scalars: none, read: [] });
    console.log(...new Float32Array(await backend.read(buffer, 0, 16)));
    if (process.argv[2] === 'dispose') backend.dispose();`);
  const folder = await mkdtemp(join(tmpdir(), 'lowrank-cpu-'));
  try {
    const file = join(folder, 'bundle.mjs');
    await writeFile(file, code);
    for (const argument of ['dispose', 'leave']) {
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [file, argument], { timeout: 30_000 });
      expect(stdout.trim()).toBe('7 7 7 7');
      expect(stderr).toBe('');
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** One self-contained module, as an application's bundler would make it for a browser. */
async function bundle(source: string): Promise<string> {
  const entry = `${root}src/virtualEntry.js`;
  const result = await build({
    root,
    configFile: false,
    logLevel: 'silent',
    resolve: {
      alias: {
        '@lowrank/tensor/op': `${root}../tensor/src/entries/op.ts`,
        '@lowrank/tensor/backend': `${root}../tensor/src/entries/backend.ts`,
        '@lowrank/tensor': `${root}../tensor/src/index.ts`,
        '@lowrank/errors': `${root}../errors/src/index.ts`,
      },
    },
    plugins: [
      {
        name: 'entry',
        resolveId: (id) => (id === entry ? id : undefined),
        load: (id) => (id === entry ? source : undefined),
      },
    ],
    build: {
      write: false,
      target: 'es2022',
      minify: false,
      lib: { entry, formats: ['es'], fileName: 'bundle' },
      rolldownOptions: { output: { codeSplitting: false } },
    },
  });
  const outputs = (Array.isArray(result) ? result : [result]).flatMap((one) => ('output' in one ? one.output : []));
  const chunk = outputs.find((output) => output.type === 'chunk');
  return chunk?.type === 'chunk' ? chunk.code : '';
}

test('no source of this package imports a module of Node', async () => {
  for (const name of ['backend', 'heap', 'module', 'platform', 'pool', 'recorder', 'kernel']) {
    expect(await readFile(new URL(`./${name}.ts`, import.meta.url), 'utf8')).not.toMatch(/(from|import\() *'node:/);
  }
});
