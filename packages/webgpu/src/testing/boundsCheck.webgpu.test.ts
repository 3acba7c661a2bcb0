import { readFileSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWebgpuBackend } from '../backend.js';
import type { WebgpuBackend } from '../backend.js';
import { cannotTrust, dawnOptionsOf } from '../dawnFeatures.js';
import { kernels } from '../kernels/index.js';
import { defineKernel, operand } from '../kernel.js';
import { mainHead, Shader } from '../shader.js';
import { prepareExecutable } from '../executable.js';
import { checkedKernel } from './boundsCheck.js';
import { randomInput, runKernel } from './kernelHarness.js';

/** y[i] = x[i + shift] through workgroup memory, of which lane 0's cell is written only where `whole`. */
const shifted = (shift: string, whole: boolean) =>
  defineKernel({
    launches({ inputs, outputs }, context) {
      const shader = new Shader(context);
      const x = shader.read('x', operand(inputs, 0, 'shifted'));
      const y = shader.write('y', operand(outputs, 0, 'shifted'));
      const body = `var<workgroup> cells: array<f32, 8>;
${mainHead(8, [1, 1, 1])}
  if (${whole ? 'true' : 'lane > 0u'}) { cells[lane] = ${x}[${shift}]; }
  workgroupBarrier();
  ${y}[lane] = cells[lane];
}
`;
      return [shader.launch({ label: 'shifted', body, workgroups: [1, 1, 1] })];
    },
  });

describe('kernels with checked indices', () => {
  let backend: WebgpuBackend;
  beforeAll(async () => {
    backend = await createWebgpuBackend();
  });
  afterAll(() => backend.dispose());

  async function faultsOf(shift: string, whole = true): Promise<{ site: string | undefined; y: Float32Array }> {
    const bytes = 32;
    const operandAt = (buffer: number) => ({ buffer, offset: 0, bytes, shape: [8], dtype: 'f32' as const });
    const arena = { kind: 'arena' as const, bytes };
    const step = {
      op: 'cast' as const,
      attrs: {},
      inputs: [operandAt(0)],
      outputs: [operandAt(1)],
      workspace: undefined,
      scope: '',
      flops: 0,
    };
    const plan = {
      buffers: [arena, arena, arena],
      steps: [step],
      inputs: [],
      scalars: [],
      outputs: [{ ...operandAt(1), name: 'y' }],
    };
    const buffers = plan.buffers.map(() => backend.allocate(bytes, 'test'));
    const [x, , faults] = buffers;
    if (x === undefined || faults === undefined) throw new TypeError('three buffers were made');
    backend.write(
      x,
      0,
      Float32Array.from({ length: 8 }, (_, at) => at),
    );
    let sites: readonly string[] = [];
    const { profile } = backend;
    const executable = await prepareExecutable({
      device: backend.device,
      plan,
      buffers,
      launches: shifted(shift, whole)
        .launches(step, { limits: backend.device.limits, profile, tuning: {}, scalars: undefined })
        .map((launch) => {
          const checked = checkedKernel(launch, 2);
          ({ sites } = checked);
          return { launch: checked.dispatch, step };
        }),
    });
    const { outputs } = await executable.run({ inputs: new Uint8Array(), scalars: new Uint8Array(), read: [0] });
    const y = new Float32Array((await outputs[0]) ?? new ArrayBuffer(0));
    const [site = 0] = new Uint32Array(await backend.read(faults, 0, 8));
    executable.dispose();
    for (const buffer of buffers) buffer.destroy();
    return { site: sites[site - 1], y };
  }

  it('says nothing of a kernel whose indices are all inside, and changes no number', async () => {
    const { site, y } = await faultsOf('7u - lane');
    expect(site).toBeUndefined();
    expect([...y]).toEqual([7, 6, 5, 4, 3, 2, 1, 0]);
  });

  it('names an index beyond the end, and one before the start', async () => {
    expect((await faultsOf('lane + 1u')).site).toBe('x[lane + 1u]');
    expect((await faultsOf('i32(lane) - 1')).site).toBe('x[i32(lane) - 1]');
  });

  it('shows workgroup memory that is read before it is written', async () => {
    const { y } = await faultsOf('lane', false);
    expect(y[0]).toBeNaN();
    expect([...y.subarray(1)]).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });
});

it('checks the place of subgroup matrices, which are read and written without an index', () => {
  const code = `enable subgroups;
diagnostic(off, chromium.subgroup_matrix_uniformity);
var<workgroup> tile: array<f16, 320>;
var<workgroup> sums: array<f32, 128>;
@compute @workgroup_size(32) fn main(@builtin(local_invocation_index) lane: u32) {
  let l = subgroupMatrixLoad<subgroup_matrix_left<f16, 4, 8>, row_major>(&tile, (lane / 8u) * 40u, 40u);
  let r = subgroupMatrixLoad<subgroup_matrix_left<f16, 4, 8>, col_major>(&tile, min(lane, 2u), 40u);
  var s: subgroup_matrix_result<f32, 8, 8>;
  var zero = subgroup_matrix_result<f32, 8, 4>();
  subgroupMatrixStore<row_major>(&sums, lane * 2u, s, 8u);
  subgroupMatrixStore<row_major>(&sums, lane, zero, 8u);
}`;
  const { dispatch, sites } = checkedKernel({ label: 'matrices', code, bindings: [], workgroups: [1, 1, 1] }, 0);
  expect(sites).toEqual(
    ['tile[(lane / 8u) * 40u]', 'tile[min(lane, 2u)]', 'sums[lane * 2u]', 'sums[lane]'].map(
      (at) => `a matrix at ${at}`,
    ),
  );
  // Eight rows of four, four columns of eight, eight rows of eight, and four of eight.
  expect(dispatch.code).toContain('indexWithin((lane / 8u) * 40u, 320u - (7u * 40u + 3u), 1u), 40u)');
  expect(dispatch.code).toContain('indexWithin(min(lane, 2u), 320u - (3u * 40u + 7u), 2u), 40u)');
  expect(dispatch.code).toContain('indexWithin(lane * 2u, 128u - (7u * 8u + 7u), 3u), s, 8u)');
  expect(dispatch.code).toContain('indexWithin(lane, 128u - (3u * 8u + 7u), 4u), zero, 8u)');
  expect(dispatch.code.indexOf('diagnostic')).toBeLessThan(dispatch.code.indexOf('var<'));
});

it('every kernel has a test that the check of bounds runs through', () => {
  const folder = new URL('../kernels/', import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith('.webgpu.test.ts'));
  const text = files.map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n');
  const untested = Object.keys(kernels).filter((name) => !text.includes(`op: '${name}'`));
  expect(untested).toEqual([]);
});

describe('robustness off', () => {
  it('computes the same, and is told', async () => {
    const backend = await createWebgpuBackend({ robustness: 'off', tier: 'portable', limits: 'default' });
    try {
      expect(backend.description).toContain('robustness off');
      const inputs = [randomInput([37, 70], 1), randomInput([70, 41], 2)];
      const attrs = { transposeA: false, transposeB: false };
      const { actual, expected } = await runKernel(backend, { op: 'matmul', attrs, inputs });
      expected[0]?.forEach((want, at) => expect(actual[0]?.[at]).toBeCloseTo(want, 4));
    } finally {
      backend.dispose();
    }
  });

  it('is refused with kernels that are not tested here', async () => {
    const asked = createWebgpuBackend({ robustness: 'off', kernels: { shifted: shifted('lane', true) } });
    await expect(asked).rejects.toThrow(cannotTrust('kernels of shifted').message);
  });

  it('adds features to those that the caller asks Dawn for', () => {
    const f16 = 'enable-dawn-features=vulkan_enable_f16_on_nvidia';
    const exact = 'disable-dawn-features=timestamp_quantization';
    expect(dawnOptionsOf([])).toEqual([f16, exact]);
    const asked = ['backend=vulkan', 'enable-dawn-features=a,b', 'disable-dawn-features=c'];
    expect(dawnOptionsOf(asked)).toEqual(['backend=vulkan', `${f16},a,b`, `${exact},c`]);
    expect(dawnOptionsOf([], 'off')[0]).toContain('disable_robustness');
  });
});
