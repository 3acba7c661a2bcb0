import { bytesPerElement, sizeOf } from '@lowrank/tensor/op';
import type { Shape } from '@lowrank/tensor';
import type { Operand, Plan, PlanBuffer, Step } from '@lowrank/tensor/backend';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isLowrankError } from '@lowrank/errors';
import type { WebgpuBackend } from './backend.js';
import { testBackend } from './testing/kernelHarness.js';

function operandAt(buffer: number, offset: number, shape: Shape): Operand {
  return { buffer, offset, shape, dtype: 'f32', bytes: sizeOf(shape) * bytesPerElement('f32') };
}

/**
 * state += lr · x; y = state · 2 (in one arena with its own offset): an input, a scalar, state in place, and two
 * outputs.
 */
function smallPlan(size: number): Plan {
  const aligned = Math.ceil((size * 4) / 256) * 256;
  const buffers: PlanBuffer[] = [
    { kind: 'inputs', bytes: size * 4 },
    { kind: 'scalars', bytes: 4 },
    { kind: 'arena', bytes: size * 4 },
    { kind: 'arena', bytes: 2 * aligned },
  ];
  const shape = [size];
  const [x, lr, state, y, twice] = [
    operandAt(0, 0, shape),
    operandAt(1, 0, []),
    operandAt(2, 0, shape),
    operandAt(3, 0, shape),
    operandAt(3, aligned, shape),
  ];
  const step = (inputs: Operand[], output: Operand, program: object[]): Step => ({
    op: 'elementwise',
    attrs: { program, shape },
    inputs,
    outputs: [output],
    workspace: undefined,
    scope: '',
    flops: 0,
  });
  return {
    buffers,
    steps: [
      step([state, x, lr], state, [
        { fn: 'mul', args: [1, 2] },
        { fn: 'add', args: [0, 3] },
      ]),
      step([state], y, [
        { fn: 'constant', value: 2 },
        { fn: 'mul', args: [0, 1] },
      ]),
      // Reads one slice of a buffer and writes another: legal because both are bound writable.
      step([y], twice, [{ fn: 'add', args: [0, 0] }]),
    ],
    inputs: [{ ...x, name: 'x' }],
    scalars: [],
    outputs: [
      { ...state, name: 'state' },
      { ...twice, name: 'twice' },
    ],
  };
}

describe('a replayed plan', () => {
  let backend: WebgpuBackend;
  beforeAll(async () => {
    backend = await testBackend('registers');
  });
  afterAll(() => backend.dispose());

  it('creates nothing over 50 steps, submits once a step, and reads results in order', async () => {
    const plan = smallPlan(5);
    const buffers = plan.buffers.map(({ bytes }, at) => backend.allocate(bytes, `${at}`));
    const executable = await backend.prepare(plan, buffers);
    const { counters } = backend.device;
    const before = { ...counters };
    const results: Promise<ArrayBuffer>[] = [];
    for (let i = 1; i <= 50; i++) {
      const inputs = new Uint8Array(Float32Array.of(1, 2, 3, 4, i).buffer);
      const scalars = new Uint8Array(Float32Array.of(i % 2).buffer);
      // Some runs read nothing, some one output, some both.
      const { outputs } = await executable.run({ inputs, scalars, read: [[0, 1], [], [1]][i % 3] ?? [] });
      results.push(...outputs);
    }
    const { outputs } = await executable.run({ inputs: new Uint8Array(20), scalars: new Uint8Array(4), read: [0] });
    expect([...new Float32Array((await outputs[0]) ?? new ArrayBuffer(0))]).toEqual([25, 50, 75, 100, 625]);
    const all = await Promise.all(results);
    expect(all.length).toBe(16 * 2 + 17);
    // Run 2 reads `twice`, after one odd run: 4 · state.
    expect([...new Float32Array(all[0] ?? new ArrayBuffer(0))]).toEqual([4, 8, 12, 16, 4]);
    expect(counters.dispatches - before.dispatches).toBe(51 * 3);
    expect(counters.submits - before.submits).toBe(51);
    const { buffers: made, bindGroups, pipelines, shaderModules, bytes } = before;
    expect(counters).toMatchObject({ buffers: made, bindGroups, pipelines, shaderModules, bytes });
    executable.dispose();
    buffers.forEach((buffer) => buffer.destroy());
    await backend.finish();
    expect(backend.memory.buffers).toBe(0);
  });

  it('shares pipelines between equal steps and plans', async () => {
    const plan = smallPlan(7);
    const buffers = plan.buffers.map(({ bytes }, at) => backend.allocate(bytes, `${at}`));
    const first = await backend.prepare(plan, buffers);
    const before = backend.device.counters.pipelines;
    const second = await backend.prepare({ ...plan, steps: [...plan.steps, ...plan.steps] }, buffers);
    expect(backend.device.counters.pipelines).toBe(before);
    first.dispose();
    second.dispose();
    buffers.forEach((buffer) => buffer.destroy());
  });

  it('says which op needs too large a binding', async () => {
    const plan = smallPlan(5);
    const buffers = plan.buffers.map(({ bytes }, at) => backend.allocate(bytes, `${at}`));
    const large = plan.steps.map((step) => ({
      ...step,
      scope: 'layers.3.mlp',
      inputs: step.inputs.map((input) => ({ ...input, bytes: 2 ** 28 })),
    }));
    const error: unknown = await backend.prepare({ ...plan, steps: large }, buffers).catch((reason: unknown) => reason);
    expect(isLowrankError(error) && error.code).toBe('webgpu.unsupported-shape');
    expect(String(error)).toContain('layers.3.mlp');
    expect(String(error)).toContain(`${2 ** 28}`);
    buffers.forEach((buffer) => buffer.destroy());
  });
});
