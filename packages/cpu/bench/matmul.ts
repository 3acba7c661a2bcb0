/** Products as the CPU backend runs them, timed from the start of a run to its end. */
import { createCpuBackend } from '../src/index.js';
import type { CpuOptions } from '../src/index.js';

export interface Product {
  run(): Promise<void>;
  dispose(): void;
}

export interface Size {
  m: number;
  n: number;
  k: number;
}

export async function prepareProduct(
  options: CpuOptions,
  { m, n, k }: Size,
  transposeA: boolean,
  transposeB: boolean,
): Promise<Product & { description: string }> {
  const backend = await createCpuBackend(options);
  const f32 = 'f32' as const;
  const specs = [
    { shape: transposeA ? [k, m] : [m, k], dtype: f32 },
    { shape: transposeB ? [n, k] : [k, n], dtype: f32 },
  ];
  const output = { shape: [m, n], dtype: f32 };
  const attrs = { transposeA, transposeB };
  const workspaceBytes = backend.spec.workspaceBytes('matmul', specs, [output], attrs);
  const sizes = [m * k * 4, n * k * 4, m * n * 4, workspaceBytes];
  const buffers = sizes.map((bytes) => backend.allocate(bytes, 'bench'));
  buffers.slice(0, 2).forEach((buffer) =>
    backend.write(
      buffer,
      0,
      Float32Array.from({ length: buffer.bytes / 4 }, () => Math.random() - 0.5),
    ),
  );
  const [a, b, y, workspace] = [...specs, output, { shape: [workspaceBytes], dtype: 'u8' as const }].map(
    (spec, buffer) => ({ ...spec, buffer, offset: 0, bytes: sizes[buffer] ?? 0 }),
  );
  if (a === undefined || b === undefined || y === undefined) throw new TypeError();
  const step = {
    op: 'matmul' as const,
    attrs,
    inputs: [a, b],
    outputs: [y],
    workspace: workspaceBytes > 0 ? workspace : undefined,
    scope: '',
    flops: 2 * m * n * k,
  };
  const executable = await backend.prepare(
    { buffers: sizes.map((bytes) => ({ kind: 'arena', bytes })), steps: [step], inputs: [], scalars: [], outputs: [] },
    buffers,
  );
  const request = { inputs: new Uint8Array(), scalars: new Uint8Array(), read: [] };
  return {
    description: backend.description,
    run: async () => void (await executable.run(request)),
    dispose: () => backend.dispose(),
  };
}
