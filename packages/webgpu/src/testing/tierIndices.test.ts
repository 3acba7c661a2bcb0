import { encodingSpecs } from '@lowrank/tensor/op';
import type { MatmulAttrs, OperandEncoding, Spec } from '@lowrank/tensor/op';
import { expect, it } from 'vitest';
import { defaultLimits } from '../constants.js';
import type { KernelContext, KernelDispatch } from '../kernel.js';
import { matmul } from '../kernels/matmul.js';
import { profileOf } from '../profile.js';
import type { Tier } from '../profile.js';
import { checkedKernel } from './boundsCheck.js';

const gpu = { vendor: 'nvidia', architecture: 'ampere', device: '', description: '', software: false };
const features = ['subgroups', 'shader-f16'];
const adapter = { ...gpu, features, subgroupMinSize: 32, subgroupMaxSize: 32 };

function launches(inputs: readonly Spec[], outputs: readonly Spec[], attrs: MatmulAttrs, tier: Tier): KernelDispatch[] {
  const operand = (spec: Spec, buffer: number) => ({ ...spec, buffer, offset: 0, bytes: 2 ** 20 });
  const step = {
    attrs,
    inputs: inputs.map(operand),
    outputs: outputs.map((spec, at) => operand(spec, inputs.length + at)),
    workspace: { buffer: 100, offset: 0, bytes: 2 ** 24 },
  };
  const context: KernelContext = {
    limits: defaultLimits,
    profile: profileOf(adapter, { tier }),
    tuning: {},
    scalars: undefined,
  };
  return matmul.launches(step as unknown as Parameters<typeof matmul.launches>[0], context);
}

const f32 = (...shape: number[]): Spec => ({ shape, dtype: 'f32' });
const table = Array.from({ length: 16 }, (_, code) => code / 8 - 1);
const encodings = [
  { kind: 'block4', blockSize: 64, table },
  { kind: 'block4', blockSize: 32, table, nestedBlockSize: 4 },
  { kind: 'block8', blockSize: 32 },
  { kind: 'rows8' },
] as const;

/** Sizes in every form of tiles, on and off multiples of four. */
const sizes = [
  [512, 512, 96],
  [37, 41, 19],
  [8, 72, 64],
  [67, 8, 36],
  [12, 8, 2048],
];
const sides = [false, true].flatMap((transposeA) => [false, true].map((transposeB) => ({ transposeA, transposeB })));

const cases = sizes.flatMap(([m = 1, n = 1, k = 1]) => {
  const dense = sides.flatMap(({ transposeA, transposeB }) =>
    (['f32', 'f16', 'bf16'] as const).map((dtype) => {
      const b: Spec = { shape: transposeB ? [n, k] : [k, n], dtype };
      const attrs: MatmulAttrs = { transposeA, transposeB, lowRank: 'nt', addend: 'full' };
      return { attrs, inputs: [f32(...(transposeA ? [k, m] : [m, k])), b, f32(m, 8), f32(n, 8), f32(m, n)] };
    }),
  );
  const codes = encodings.flatMap((kind) =>
    [true, false].flatMap((transposeB) => {
      const encoding: OperandEncoding = { ...kind, rows: transposeB ? n : k, columns: transposeB ? k : n };
      // Rows of these are whole blocks.
      if (kind.kind === 'block8' && encoding.columns % kind.blockSize !== 0) return [];
      const attrs: MatmulAttrs = { transposeA: false, transposeB, encoding };
      return [{ attrs, inputs: [f32(m, k), ...encodingSpecs(encoding)] }];
    }),
  );
  return [...dense, ...codes].map((each) => ({ ...each, outputs: [f32(m, n)] }));
});

// What a tile holds is all that differs between the tiers, so the check of bounds that the one passes holds for both.
it('products of the tier f16 have the indices and the tiles of the tier subgroups, word for word', () => {
  let halves = 0;
  for (const { attrs, inputs, outputs } of cases) {
    const [f32s, f16s] = (['subgroups', 'f16'] as const).map((tier) => launches(inputs, outputs, attrs, tier));
    expect(f16s).toHaveLength(f32s?.length ?? 0);
    for (const [at, launch] of (f32s ?? []).entries()) {
      const half = f16s?.[at];
      if (half === undefined) throw new TypeError('a launch of each');
      expect(half.workgroups).toEqual(launch.workgroups);
      expect(checkedKernel(half, 0).sites).toEqual(checkedKernel(launch, 0).sites);
      const shape = (code: string): string[] =>
        code.match(/var<workgroup>[^;]*|@workgroup_size\([^)]*\)|(for|if) \(.*\{/g) ?? [];
      expect(shape(half.code).map((text) => text.replaceAll('f16', 'f32'))).toEqual(shape(launch.code));
      if (half.code.includes('array<f16')) halves++;
    }
  }
  expect(halves).toBeGreaterThan(cases.length / 2);
});
