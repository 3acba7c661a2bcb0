import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { isLowrankError } from '@lowrank/errors';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isSoftware, listAdapters } from './adapters.js';
import { WebgpuBackend } from './backend.js';
import { requestDevice } from './device.js';
import type { WebgpuDevice } from './device.js';
import { given, runKernel } from './testing/kernelHarness.js';

const failure = async (action: () => unknown): Promise<{ code: string; message: string }> => {
  try {
    await action();
  } catch (error) {
    if (isLowrankError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('nothing was thrown');
};

describe('isSoftware', () => {
  it('knows the adapters that compute on the CPU', () => {
    expect(isSoftware({ vendor: 'google', architecture: 'swiftshader' })).toBe(true);
    expect(isSoftware({ description: 'llvmpipe (LLVM 15.0.6, 256 bits)' })).toBe(true);
    expect(isSoftware({ isFallbackAdapter: true })).toBe(true);
    expect(isSoftware({ adapterType: 'CPU' })).toBe(true);
    expect(isSoftware({ vendor: 'nvidia', architecture: 'hopper', description: 'NVIDIA H200' })).toBe(false);
    expect(isSoftware({ vendor: 'apple', architecture: 'metal-3', isFallbackAdapter: false })).toBe(false);
  });
});

describe('requestDevice', () => {
  it('lists adapters with their limits', async () => {
    const adapters = await listAdapters();
    expect(adapters.length).toBeGreaterThan(0);
    expect(adapters[0]?.limits.maxBufferSize).toBeGreaterThanOrEqual(256 * 2 ** 20);
  });

  it('asks for all the adapter has, or for the defaults', async () => {
    const [whole, plain] = await Promise.all([requestDevice(), requestDevice({ limits: 'default' })]);
    expect(whole.limits.maxBufferSize).toBe(whole.adapter.limits.maxBufferSize);
    expect(plain.limits).toMatchObject({
      maxStorageBufferBindingSize: 128 * 2 ** 20,
      maxStorageBuffersPerShaderStage: 8,
      maxComputeWorkgroupStorageSize: 16_384,
    });
    expect(plain.features.has('shader-f16')).toBe(false);
    whole.dispose();
    plain.dispose();
  });

  it('refuses adapters that the caller does not want', async () => {
    const { code, message } = await failure(() => requestDevice({ adapterFilter: () => false }));
    expect(code).toBe('webgpu.no-adapter');
    expect(message).toContain('adapterFilter');
    const [adapter] = await listAdapters();
    if (adapter?.software === true)
      expect(await failure(() => requestDevice({ allowSoftware: false }))).toMatchObject({ code: 'webgpu.no-adapter' });
  });
});

describe('errors of a device', () => {
  let device: WebgpuDevice;
  let backend: WebgpuBackend;
  beforeAll(async () => {
    device = await requestDevice({ limits: 'default' });
    backend = new WebgpuBackend(device);
  });
  afterAll(() => device.dispose());

  it('names the line of WGSL that does not compile', async () => {
    const { code, message } = await failure(() =>
      device.pipelines.get({
        code: '@compute @workgroup_size(1)\nfn main() {\n  let x = nonsense;\n}\n',
        label: 'a test',
        access: [],
      }),
    );
    expect(code).toBe('webgpu.shader-failed');
    expect(message).toContain('line 3');
    expect(message).toContain('let x = nonsense;');
    device.check();
  });

  it('says how large a buffer may be', async () => {
    const { code, message } = await failure(() => backend.allocate(2 ** 32, 'logits'));
    expect(code).toBe('webgpu.unsupported-shape');
    expect(message).toContain('logits');
    expect(message).toContain(`${2 ** 32}`);
    expect(message).toContain(`${256 * 2 ** 20}`);
  });

  it('never ignores an error that nobody awaited', async () => {
    device.gpu.createBindGroupLayout({ entries: [{ binding: 100_000, visibility: 4, buffer: {} }] });
    await device.gpu.queue.onSubmittedWorkDone();
    expect(await failure(() => backend.finish())).toMatchObject({ code: 'webgpu.device-error' });
    await backend.finish();
  });

  it('runs a kernel and accounts for its memory', async () => {
    const before = backend.memory;
    const { actual } = await runKernel(backend, {
      op: 'elementwise',
      attrs: { program: [{ fn: 'add', args: [0, 0] }], shape: [3] },
      inputs: [given([1, 2, 3])],
    });
    expect([...(actual[0] ?? [])]).toEqual([2, 4, 6]);
    expect(backend.memory).toMatchObject({ buffers: before.buffers, bytes: before.bytes });
    expect(backend.memory.peakBytes).toBeGreaterThan(0);
  });

  it('reads and writes any byte range', async () => {
    const buffer = backend.allocate(10, 'bytes');
    expect([...new Uint8Array(await backend.read(buffer, 0, 10))]).toEqual(Array.from({ length: 10 }, () => 0));
    backend.write(buffer, 4, Uint8Array.of(1, 2, 3, 4, 5, 6));
    expect([...new Uint8Array(await backend.read(buffer, 3, 7))]).toEqual([0, 1, 2, 3, 4, 5, 6]);
    buffer.destroy();
  });

  it('is told when the device is gone', async () => {
    const lost = await requestDevice({ limits: 'default' });
    const other = new WebgpuBackend(lost);
    const buffer = other.allocate(16, 'x');
    lost.gpu.destroy();
    await lost.gpu.lost;
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(await failure(() => other.read(buffer, 0, 16))).toMatchObject({ code: 'webgpu.device-lost' });
    const disposed = await requestDevice({ limits: 'default' });
    disposed.dispose();
    expect(await failure(() => disposed.check())).toMatchObject({ code: 'webgpu.disposed' });
  });
});

describe('a Node process that used a device', () => {
  it.each(['dispose', 'forget'])('ends by itself with code 0 (%s)', (ending) => {
    const webgpu = fileURLToPath(import.meta.resolve('webgpu'));
    const script = `
      const { create } = await import(${JSON.stringify(webgpu)});
      globalThis.kept = create([]);
      const adapter = await globalThis.kept.requestAdapter();
      const device = await adapter.requestDevice();
      device.createBuffer({ size: 1024, usage: 128 });
      await device.queue.onSubmittedWorkDone();
      if (${JSON.stringify(ending)} === 'dispose') device.destroy();
    `;
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      timeout: 20_000,
      encoding: 'utf8',
    });
    expect(child.stderr).toBe('');
    expect(child.status).toBe(0);
    expect(child.signal).toBeNull();
  });
});
