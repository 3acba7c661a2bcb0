import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bytesSource, openSafetensors } from '@lowrank/safetensors';
import { describe, expect, test } from 'vitest';
import type { LoraAdapter, LoraMatrices } from './loraAdapter.js';
import { readAdapter } from './readAdapter.js';
import { serializeAdapter } from './serializeAdapter.js';
import { combineAdapters, combineMethods } from './combine.js';
import type { CombineOptions, WeightedAdapter } from './combine.js';
import type { CombineMethod } from './numeric/combineLayer.js';
import { loraConfig } from './config.js';
import { rankAt, scalingAt } from './scaling.js';
import type { LoraConfig } from './config.js';

/** Made by parity/arithmetic.py. */
const home = fileURLToPath(new URL('../../../parity/golden/arithmetic/', import.meta.url));

interface Case {
  method: CombineMethod;
  adapters: string[];
  weights: number[];
  svd_rank?: number;
  density?: number;
  majority_sign_method?: 'total' | 'frequency';
  r: number;
  wrongBy?: number;
}

const { cases } = JSON.parse(readFileSync(`${home}arithmetic.json`, 'utf8')) as { cases: Record<string, Case> };

async function golden(name: string): Promise<LoraAdapter> {
  const config: unknown = JSON.parse(readFileSync(`${home}${name}/adapter_config.json`, 'utf8'));
  return readAdapter({ config, weights: bytesSource(readFileSync(`${home}${name}/adapter_model.safetensors`)), name });
}

/** s·B·A [out, in], in f64. */
function deltaOf({ a, b, rank, inFeatures, outFeatures }: LoraMatrices, scaling: number): Float64Array {
  const delta = new Float64Array(outFeatures * inFeatures);
  for (let out = 0; out < outFeatures; out++)
    for (let at = 0; at < inFeatures; at++)
      for (let k = 0; k < rank; k++)
        delta[out * inFeatures + at] =
          (delta[out * inFeatures + at] ?? NaN) +
          scaling * (b[out * rank + k] ?? NaN) * (a[k * inFeatures + at] ?? NaN);
  return delta;
}

function delta({ config, layers }: LoraAdapter, path: string): Float64Array {
  const matrices = layers.get(path);
  if (matrices === undefined) throw new Error(`no ${path}`);
  expect(matrices.rank).toBe(rankAt(config, path));
  return deltaOf(matrices, scalingAt(config, path));
}

function furthest(one: ArrayLike<number>, other: ArrayLike<number>): number {
  expect(one.length).toBe(other.length);
  return Array.from(one).reduce((most, value, at) => Math.max(most, Math.abs(value - (other[at] ?? NaN))), 0);
}

describe.each(Object.entries(cases))(
  'PEFT: %s',
  (
    name,
    { method, adapters, weights, svd_rank: rank, density, majority_sign_method: majoritySign, r, wrongBy = 1 },
  ) => {
    test('the same ΔW, and Σ w·s·B·A where the method is exact', async () => {
      const file = await openSafetensors(bytesSource(readFileSync(`${home}arithmetic.safetensors`)));
      const sources = await Promise.all(
        adapters.map(async (adapter, at) => ({
          adapter: await golden(adapter),
          weight: weights[at] ?? NaN,
          name: adapter,
        })),
      );
      const combined = combineAdapters(sources, { method, rank, density, majoritySign });
      const stored = async (path: string, what: string): Promise<Float32Array | Float64Array> => {
        const { buffer } = new Uint8Array(await file.read(`${name}.${path}.${what}`));
        return what === 'delta' ? new Float32Array(buffer) : new Float64Array(buffer);
      };
      const paths = [...file.tensors.keys()].flatMap((key) =>
        key.startsWith(`${name}.`) && key.endsWith('.delta') ? key.slice(name.length + 1, -6) : [],
      );
      expect(new Set(combined.layers.keys())).toEqual(new Set(paths));
      expect(combined.config).toMatchObject({ r, useRslora: false });
      for (const path of paths) {
        expect(
          furthest(
            delta(combined, path),
            (await stored(path, 'delta')).map((value) => value / wrongBy),
          ),
        ).toBeLessThan(2e-5);
        const exact = method === 'cat' || name === 'linearOne' || (method === 'svd' && r === 6);
        // Those of 6 features have a ΔW of rank 6 at most; the other two sums have rank 7.
        if (exact && !(method === 'svd' && /v_proj|c_attn/.test(path)))
          expect(furthest(delta(combined, path), await stored(path, 'expected'))).toBeLessThan(1e-5);
      }
      // What is written is read again as it was.
      const files = serializeAdapter(combined);
      const again = await readAdapter({
        config: JSON.parse(new TextDecoder().decode(files['adapter_config.json'])),
        weights: bytesSource(files['adapter_model.safetensors'] ?? new Uint8Array()),
        name: 'again',
      });
      expect(again.layers).toEqual(combined.layers);
      expect(again.whole).toEqual(combined.whole);
    });
  },
);

interface LayerSpec {
  rank: number;
  inFeatures?: number;
  outFeatures?: number;
  embedding?: boolean;
}

let drawn = 1;

function random(): number {
  drawn = (drawn * 48271) % 2147483647;
  return drawn / 1073741823.5 - 1;
}

function made(layers: Record<string, LayerSpec>, config: Partial<LoraConfig> = {}): LoraAdapter {
  const matrices = Object.entries(layers).map(
    ([path, { rank, inFeatures = 5, outFeatures = 7, embedding }]): [string, LoraMatrices] => [
      path,
      {
        a: Float32Array.from({ length: rank * inFeatures }, random),
        b: Float32Array.from({ length: outFeatures * rank }, random),
        rank,
        inFeatures,
        outFeatures,
        ...(embedding === true ? { embedding } : {}),
      },
    ],
  );
  return { config: loraConfig({ targetModules: Object.keys(layers), ...config }), layers: new Map(matrices) };
}

const weighted = (...adapters: readonly LoraAdapter[]): WeightedAdapter[] =>
  adapters.map((adapter, at) => ({ adapter, weight: [0.7, -1.3, 0.2][at] ?? 1 }));

/** Σ w·s·B·A of the sources that have the layer. */
function expected(sources: readonly WeightedAdapter[], path: string): Float64Array {
  const parts = sources
    .filter(({ adapter }) => adapter.layers.has(path))
    .map(({ adapter, weight }) => delta(adapter, path).map((value) => weight * value));
  return (parts[0] ?? new Float64Array()).map((_, at) => parts.reduce((sum, part) => sum + (part[at] ?? NaN), 0));
}

const mixed = (): LoraAdapter[] => [
  made(
    { 'h.0.q': { rank: 2 }, 'h.0.v': { rank: 3 }, 'h.1.q': { rank: 2 } },
    { r: 2, alpha: 4, useRslora: true, rankPattern: { v: 3 }, alphaPattern: { 'h.1.q': 9 } },
  ),
  made(
    { 'h.0.q': { rank: 1 }, 'h.0.v': { rank: 1 }, 'h.1.q': { rank: 3 } },
    { r: 1, alpha: 3, rankPattern: { 'h.1.q': 3 } },
  ),
  made({ 'h.1.q': { rank: 2 }, 'h.1.v': { rank: 2 } }, { r: 2, alpha: -1, useRslora: true }),
];

describe('rsLoRA, unequal ranks, patterns, and targets that only some have', () => {
  test('cat and svd of enough rank are Σ w·s·B·A', () => {
    const sources = weighted(...mixed());
    for (const method of ['cat', 'svd'] as const) {
      const combined = combineAdapters(sources, { method, ...(method === 'svd' ? { rank: 5 } : {}) });
      expect([...combined.layers.keys()]).toEqual(['h.0.q', 'h.0.v', 'h.1.q', 'h.1.v']);
      for (const path of combined.layers.keys())
        expect(furthest(delta(combined, path), expected(sources, path))).toBeLessThan(2e-6);
    }
    const combined = combineAdapters(sources);
    expect(
      [...combined.layers].map(([path, { rank }]) => [
        path,
        rank,
        rankAt(combined.config, path),
        scalingAt(combined.config, path),
      ]),
    ).toEqual([
      ['h.0.q', 3, 3, 1],
      ['h.0.v', 4, 4, 1],
      ['h.1.q', 7, 7, 1],
      ['h.1.v', 2, 2, 1],
    ]);
  });

  test('svd takes the best approximation: what is left are the singular values beyond the rank', () => {
    const sources = weighted(...mixed());
    const full = combineAdapters(sources, { method: 'svd', rank: 5 }).layers.get('h.1.q');
    const squares = Array.from({ length: 5 }, (_, k) =>
      Array.from(full?.b ?? [])
        .filter((_value, at) => at % 5 === k)
        .reduce((sum, value) => sum + value * value, 0),
    );
    expect(squares.toSorted((a, b) => b - a)).toEqual(squares);
    const cut = combineAdapters(sources, { method: 'svd', rank: 2 });
    const off = delta(cut, 'h.1.q')
      .map((value, at) => (value - (expected(sources, 'h.1.q')[at] ?? NaN)) ** 2)
      .reduce((sum, value) => sum + value, 0);
    expect(off).toBeCloseTo((squares[2] ?? NaN) + (squares[3] ?? NaN) + (squares[4] ?? NaN), 4);
    // Without a rank each layer keeps the largest of its sources.
    expect([...combineAdapters(sources, { method: 'svd' }).layers.values()].map(({ rank }) => rank)).toEqual([
      2, 3, 3, 2,
    ]);
  });

  test('linear of factors of one source is exact, whatever the sign', () => {
    const [one] = mixed();
    if (one === undefined) throw new Error('none');
    for (const weight of [2, -0.5]) {
      const combined = combineAdapters([{ adapter: one, weight }], { method: 'linear' });
      expect(
        furthest(
          delta(combined, 'h.0.v'),
          delta(one, 'h.0.v').map((value) => weight * value),
        ),
      ).toBeLessThan(2e-6);
    }
    expect(combineAdapters([{ adapter: one, weight: 1 }], { method: 'svd', rank: 1 }).layers.get('h.0.q')?.rank).toBe(
      1,
    );
  });

  test('an adapter taken from itself leaves nothing', () => {
    const [one] = mixed();
    if (one === undefined) throw new Error('none');
    for (const method of ['cat', 'svd'] as const)
      expect(
        Math.max(
          ...delta(
            combineAdapters(
              [
                { adapter: one, weight: 1 },
                { adapter: one, weight: -1 },
              ],
              { method },
            ),
            'h.0.q',
          ).map(Math.abs),
        ),
      ).toBeLessThan(1e-6);
  });

  test('dare keeps the mean, by the seed', () => {
    const one = made({ q: { rank: 2 } }, { r: 2, alpha: 2 });
    const two = made({ q: { rank: 2 } }, { r: 2, alpha: 6 });
    const sources = [
      { adapter: one, weight: 0.5 },
      { adapter: two, weight: 1 },
    ];
    const draw = (seed: number): Float64Array =>
      delta(combineAdapters(sources, { method: 'dare_linear_svd', density: 0.5, rank: 5, seed }), 'q');
    expect(draw(3)).toEqual(draw(3));
    expect(furthest(draw(3), draw(4))).toBeGreaterThan(0.1);
    const sum = new Float64Array(35);
    for (let seed = 0; seed < 400; seed++)
      draw(seed).forEach((value, at) => void (sum[at] = (sum[at] ?? NaN) + value / 400));
    // Each ΔW's value v is drawn as 0 or 2v: a deviation of v in each draw.
    const bound = Math.max(...[one, two].map((each) => Math.max(...delta(each, 'q').map(Math.abs))));
    expect(furthest(sum, expected(sources, 'q'))).toBeLessThan((5 * 1.2 * bound) / 20);
  });

  test('a layer too wide for the exact decomposition keeps a ΔW of its rank', () => {
    const sources = [
      made({ q: { rank: 2, inFeatures: 270, outFeatures: 260 } }, { r: 2, alpha: 2 }),
      made({ q: { rank: 1, inFeatures: 270, outFeatures: 260 } }, { r: 1, alpha: 2 }),
    ].map((adapter) => ({ adapter, weight: 0.5 }));
    const combined = combineAdapters(sources, { method: 'magnitude_prune_svd', density: 1, rank: 3 });
    expect(furthest(delta(combined, 'q'), expected(sources, 'q'))).toBeLessThan(1e-5);
  });
});

test('targets stay where all agree, else they are the paths', async () => {
  const [first, second, small] = await Promise.all(['first', 'second', 'small'].map(golden));
  if (first === undefined || second === undefined || small === undefined) throw new Error('none');
  const alike = { ...second, config: { ...second.config, targetModules: first.config.targetModules } };
  expect(combineAdapters(weighted(first, alike)).config.targetModules).toEqual(first.config.targetModules);
  expect(combineAdapters(weighted(first, small)).config.targetModules).toEqual([...first.layers.keys()]);
  expect(combineAdapters(weighted(first, small)).config.rankPattern).toEqual({
    '^layers\\.embed_tokens': 4,
    '^layers\\.v_proj': 4,
  });
  expect(combineAdapters(weighted(first, small)).config.fanInFanOut).toBe(true);
  const table = {
    ...first,
    whole: new Map([
      ['e.base_layer.weight', { dtype: 'F32' as const, shape: [2], data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) }],
    ]),
  };
  expect(combineAdapters(weighted(first, table, { ...table })).whole).toEqual(table.whole);
});

test.each<[string, string, [WeightedAdapter[], CombineOptions?], RegExp]>([
  ['no adapter', 'lora.combine', [[]], /at least one/],
  [
    'a weight that is none',
    'lora.combine',
    [[{ adapter: made({ q: { rank: 8 } }), weight: NaN, name: 'x' }]],
    /the weight of x/,
  ],
  [
    'a method that is none',
    'lora.combine',
    [weighted(made({ q: { rank: 8 } })), { method: 'toString' as CombineMethod }],
    /magnitude_prune_svd/,
  ],
  ['no density', 'lora.combine', [weighted(made({ q: { rank: 8 } })), { method: 'ties' }], /got nothing/],
  [
    'a density of 0',
    'lora.combine',
    [weighted(made({ q: { rank: 8 } })), { method: 'dare_linear', density: 0 }],
    /above 0/,
  ],
  [
    'a density above 1',
    'lora.combine',
    [weighted(made({ q: { rank: 8 } })), { method: 'ties', density: 1.01 }],
    /at most 1/,
  ],
  ['a density for cat', 'lora.combine', [weighted(made({ q: { rank: 8 } })), { density: 0.5 }], /prunes nothing/],
  [
    'a sign for svd',
    'lora.combine',
    [weighted(made({ q: { rank: 8 } })), { method: 'svd', majoritySign: 'total' }],
    /elects no sign/,
  ],
  ['a rank for cat', 'lora.combine', [weighted(made({ q: { rank: 8 } })), { rank: 4 }], /sum of the ranks/],
  [
    'a rank for linear',
    'lora.combine',
    [weighted(made({ q: { rank: 8 } })), { method: 'linear', rank: 4 }],
    /that of the sources/,
  ],
  ['a rank of 0', 'lora.combine', [weighted(made({ q: { rank: 8 } })), { method: 'svd', rank: 0 }], /at least 1/],
  [
    'a rank beyond the layer',
    'lora.combineRank',
    [weighted(made({ q: { rank: 8 } })), { method: 'svd', rank: 6 }],
    /at most 5, got 6/,
  ],
  [
    'unequal ranks',
    'lora.combineRank',
    [weighted(made({ q: { rank: 8 } }), made({ q: { rank: 4 } }, { r: 4 })), { method: 'linear' }],
    /rank 8, as of adapter 1.*rank 4.*cat, svd\./,
  ],
  [
    'unequal ranks of ties',
    'lora.combineRank',
    [weighted(made({ q: { rank: 8 } }), made({ q: { rank: 4 } }, { r: 4 })), { method: 'ties', density: 1 }],
    /ties_svd/,
  ],
  [
    'other shapes',
    'lora.combineShape',
    [weighted(made({ q: { rank: 8 } }), made({ q: { rank: 8, inFeatures: 6 } }))],
    /\[7, 5\], as of adapter 1, got a layer \[7, 6\]/,
  ],
  [
    'an embedding and a linear layer',
    'lora.combineShape',
    [weighted(made({ q: { rank: 8 } }), made({ q: { rank: 8, embedding: true } }))],
    /an embedding/,
  ],
  [
    'other bases',
    'lora.combineBase',
    [weighted(made({ q: { rank: 8 } }, { baseModel: 'one' }), made({ q: { rank: 8 } }, { baseModel: 'two' }))],
    /one and two/,
  ],
  ['a rank that the configuration denies', 'lora.shape', [weighted(made({ q: { rank: 4 } }))], /rank 8/],
  ['a weight beyond f32', 'lora.combineNotFinite', [[{ adapter: made({ q: { rank: 8 } }), weight: 1e300 }]], /finite/],
])('%s is refused', (_what, code, given, words) => {
  expect(() => combineAdapters(...given)).toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(words) as string }),
  );
});

test('NaN, more than A and B, and tables that differ are refused', () => {
  const adapter = made({ q: { rank: 8 } });
  const layer = adapter.layers.get('q');
  if (layer === undefined) throw new Error('none');
  const spoilt = {
    ...adapter,
    layers: new Map([['q', { ...layer, a: layer.a.map((value, at) => (at === 3 ? NaN : value)) }]]),
  };
  for (const method of combineMethods)
    expect(() =>
      combineAdapters([{ adapter: spoilt, weight: 1 }], {
        method,
        ...(/ties|dare|prune/.test(method) ? { density: 0.5 } : {}),
      }),
    ).toThrow(expect.objectContaining({ code: 'lora.combineNotFinite' }));
  // Whatever else a layer may come to have.
  const dora = { ...adapter, layers: new Map([['q', { ...layer, magnitude: new Float32Array(7) }]]) };
  expect(() => combineAdapters([{ adapter: dora, weight: 1 }])).toThrow(
    expect.objectContaining({ code: 'lora.combineVariant', message: expect.stringContaining('magnitude') as string }),
  );
  for (const config of [
    { ...adapter.config, useDora: true },
    { ...adapter.config, bias: 'all' as const },
    { ...adapter.config, modulesToSave: ['lm_head'] },
    { ...adapter.config, trainableTokenIndices: [3] },
    { ...adapter.config, init: String('pissa') as LoraConfig['init'] },
  ])
    expect(() => combineAdapters([{ adapter: { ...adapter, config }, weight: 1, name: 'x' }])).toThrow(
      expect.objectContaining({
        code: 'lora.combineVariant',
        message: expect.stringMatching(
          /of x.*(useDora = true|modulesToSave = \["lm_head"\]|trainableTokenIndices = \[3\]|bias = "all"|'pissa')/,
        ) as string,
      }),
    );
  expect(
    combineAdapters([
      { adapter: { ...adapter, config: { ...adapter.config, useDora: false, bias: 'none' } as LoraConfig }, weight: 1 },
    ]).layers.size,
  ).toBe(1);
  const whole = (last: number): LoraAdapter => ({
    ...adapter,
    whole: new Map([
      ['e.base_layer.weight', { dtype: 'F32' as const, shape: [1], data: Uint8Array.of(1, 2, 3, last) }],
    ]),
  });
  expect(() => combineAdapters(weighted(whole(4), whole(5)))).toThrow(
    expect.objectContaining({ code: 'lora.combineWhole' }),
  );
});

test('biases of B are summed, each with the factor of its layer', async () => {
  const biased = made({ q: { rank: 2 }, v: { rank: 2 } }, { r: 2, alpha: 6, loraBias: true });
  const withBias = {
    ...biased,
    layers: new Map(
      [...biased.layers].map(([path, layer]) => [
        path,
        { ...layer, bias: Float32Array.from({ length: 7 }, (_, at) => at + 2) },
      ]),
    ),
  };
  const other = made({ q: { rank: 2 }, k: { rank: 2 } }, { r: 2, alpha: 2 });
  for (const method of ['cat', 'svd', 'linear'] as const) {
    const combined = combineAdapters(
      [
        { adapter: withBias, weight: 0.5 },
        { adapter: withBias, weight: -1 },
        { adapter: other, weight: 3 },
      ],
      { method },
    );
    // 3·(0.5 − 1) times each.
    expect(combined.layers.get('q')?.bias).toEqual(Float32Array.from({ length: 7 }, (_, at) => -1.5 * (at + 2)));
    expect(combined.layers.get('k')?.bias).toEqual(new Float32Array(7));
    const files = serializeAdapter(combined);
    const again = await readAdapter({
      config: JSON.parse(new TextDecoder().decode(files['adapter_config.json'])),
      weights: bytesSource(files['adapter_model.safetensors'] ?? new Uint8Array()),
      name: 'again',
    });
    expect(again.layers).toEqual(combined.layers);
    expect(again.config.loraBias).toBe(true);
  }
  expect(() =>
    combineAdapters([
      { adapter: withBias, weight: 1 },
      { adapter: made({ e: { rank: 8, embedding: true } }), weight: 1 },
    ]),
  ).toThrow(expect.objectContaining({ code: 'lora.combineVariant' }));
  expect(() =>
    combineAdapters([
      {
        adapter: {
          ...withBias,
          layers: new Map(
            [...withBias.layers].map(([path, layer]) => [path, { ...layer, bias: layer.bias.fill(NaN) }]),
          ),
        },
        weight: 1,
      },
    ]),
  ).toThrow(expect.objectContaining({ code: 'lora.combineNotFinite' }));
});

test('two names of one base go together when the result gets a name', () => {
  const sources = weighted(
    made({ q: { rank: 8 } }, { baseModel: 'one' }),
    made({ q: { rank: 8 } }, { baseModel: 'two' }),
  );
  expect(combineAdapters(sources, { baseModel: 'three' }).config.baseModel).toBe('three');
});
