import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loraConfig, serializeAdapter } from '@lowrank/lora';
import { fileSource, openSafetensors, serializeSafetensors } from '@lowrank/safetensors';
import { fromNumbers, Rng } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import type { SpectrumResult } from '@lowrank/study';
import { golden, readJson, runCli, scratch } from '../testing.js';

const rank = 2;
const paths = ['model.layers.0.self_attn.q_proj', 'model.layers.1.mlp.down_proj'];

interface Copy {
  readonly folder: string;
  /** What is added to these weights. */
  readonly deltas: ReadonlyMap<string, Float32Array>;
  readonly dtype?: 'F32' | 'BF16';
  readonly shape?: Readonly<Record<string, readonly number[]>>;
}

/** A copy of a golden model in a folder, with weights changed. */
async function copyModel({ folder, deltas, dtype = 'F32', shape = {} }: Copy): Promise<string> {
  mkdirSync(folder, { recursive: true });
  cpSync(join(golden, 'untied/config.json'), join(folder, 'config.json'));
  const file = await openSafetensors(fileSource(join(golden, 'untied/model.safetensors')));
  const entries = [];
  for (const { name, shape: own } of file.tensors.values()) {
    const values = new Float32Array(new Uint8Array(await file.read(name)).buffer);
    const delta = deltas.get(name.replace(/\.weight$/, ''));
    delta?.forEach((value, at) => (values[at] = (values[at] ?? NaN) + value));
    const data = dtype === 'F32' ? values : fromNumbers(values, 'bf16');
    entries.push({
      name,
      dtype,
      shape: shape[name] ?? own,
      data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    });
  }
  writeFileSync(join(folder, 'model.safetensors'), serializeSafetensors(entries, { format: 'pt' }));
  return folder;
}

interface Setup {
  readonly model: string;
  readonly tuned: string;
  readonly adapter: string;
  readonly sizes: ReadonlyMap<string, readonly [number, number]>;
}

/**
 * A base, a LoRA of two layers, and a "full fine-tune" that has done the same as the LoRA three times over to them, and
 * nothing to the others.
 */
async function setUp(root: string): Promise<Setup> {
  const model = await copyModel({ folder: join(root, 'base'), deltas: new Map() });
  const file = await openSafetensors(fileSource(join(model, 'model.safetensors')));
  const rng = new Rng(6);
  const draw = (count: number): Float32Array => Float32Array.from({ length: count }, () => 0.1 * rng.normal());
  const layers = new Map(
    paths.map((path) => {
      const [outFeatures = 0, inFeatures = 0] = file.tensors.get(`${path}.weight`)?.shape ?? [];
      return [
        path,
        { a: draw(rank * inFeatures), b: draw(outFeatures * rank), rank, inFeatures, outFeatures },
      ] as const;
    }),
  );
  const adapter = join(root, 'adapter');
  mkdirSync(adapter);
  for (const [name, bytes] of Object.entries(
    serializeAdapter({ config: loraConfig({ r: rank, alpha: 4, targetModules: ['q_proj', 'down_proj'] }), layers }),
  ))
    writeFileSync(join(adapter, name), bytes);
  const deltas = new Map(
    [...layers].map(
      ([path, { a, b, inFeatures }]) =>
        [
          path,
          Float32Array.from(
            { length: (a.length / rank) * (b.length / rank) },
            (_, at) =>
              6 *
              [0, 1].reduce(
                (sum, k) =>
                  sum +
                  (b[Math.floor(at / inFeatures) * rank + k] ?? NaN) * (a[k * inFeatures + (at % inFeatures)] ?? NaN),
                0,
              ),
          ),
        ] as const,
    ),
  );
  const sizes = new Map(
    [...layers].map(([path, { outFeatures, inFeatures }]) => [path, [outFeatures, inFeatures] as const]),
  );
  return { model, tuned: await copyModel({ folder: join(root, 'tuned'), deltas }), adapter, sizes };
}

test('lowrank spectrum: known updates, their ranks, their energies and what they share with the LoRA', async () => {
  using folder = scratch();
  const { model, tuned, adapter, sizes } = await setUp(folder.path);
  const output = join(folder.path, 'out/spectrum');
  const outcome = await runCli([
    'spectrum',
    '--model',
    model,
    '--tuned',
    tuned,
    '--adapter',
    adapter,
    '--output',
    output,
    '--json',
  ]);
  expect([outcome.code, outcome.stderr]).toEqual([0, '']);
  const result = outcome.json<SpectrumResult>().at(-1);
  expect(result?.layers.length).toBe(2 + 2 * 7);
  for (const { path, full, lora, similarity, ...size } of result?.layers ?? []) {
    if (!paths.includes(path)) {
      expect([path, full.norm, full.effective_rank, full.directions90, lora]).toEqual([path, 0, 0, 0, null]);
      continue;
    }
    expect([size.out, size.in]).toEqual(sizes.get(path));
    expect(lora?.singular_values).toHaveLength(2);
    lora?.singular_values.forEach((value, at) => expect((full.singular_values[at] ?? NaN) / value).toBeCloseTo(3, 5));
    expect(full.singular_values[2]).toBeLessThan(1e-6);
    expect(full.norm / (lora?.norm ?? NaN)).toBeCloseTo(3, 5);
    expect(full.energy['2']).toBeCloseTo(1, 9);
    expect(full.energy['1']).toBeLessThan(0.999);
    expect(full.effective_rank).toBeCloseTo(lora?.effective_rank ?? NaN, 3);
    expect(similarity?.map(({ i, j }) => [i, j])).toEqual([
      [1, 1],
      [1, 2],
      [2, 1],
      [2, 2],
    ]);
    for (const { left, right } of similarity ?? [])
      expect([left, right]).toEqual([expect.closeTo(1, 6), expect.closeTo(1, 6)]);
    expect(similarity?.[3]?.chance_left).toBe(2 / size.out);
  }
  expect(result?.total.energy['2']).toBeCloseTo(1, 9);
  expect(result?.total.similarity_left).toBeCloseTo(1, 6);
  expect(readJson(join(output, 'spectrum.json'))).toEqual(result);
  const markdown = readFileSync(join(output, 'spectrum.md'), 'utf8');
  expect(markdown.split('\n').filter((line) => line.startsWith('| model.'))).toHaveLength(15);
  expect(markdown).toContain('2: 100.0%');
  const svg = readFileSync(join(output, 'spectrum.svg'), 'utf8');
  expect(svg).toMatch(/^<svg [^]*q_proj [^]*<\/svg>$/);
  expect(svg).toContain('#d55e00');
  expect(svg).not.toContain('NaN');
});

test('16-bit folders, no adapter, words for people', async () => {
  using folder = scratch();
  const { model, tuned } = await setUp(folder.path);
  const half = await copyModel({ folder: join(folder.path, 'half'), deltas: new Map(), dtype: 'BF16' });
  const outcome = await runCli(['spectrum', '--model', model, '--tuned', half]);
  expect([outcome.code, outcome.stderr]).toEqual([0, '']);
  // Rounding to 8 bits of mantissa moves a weight by about 2⁻⁹/√3 of itself, in no direction more than in others.
  const row =
    outcome.stdout
      .split('\n')
      .find((line) => line.startsWith('model.layers.0.self_attn.q_proj'))
      ?.split(/\s\s+/) ?? [];
  expect(Number(row[3])).toBeGreaterThan(5e-4);
  expect(Number(row[3])).toBeLessThan(3e-3);
  expect(outcome.stdout).toMatch(/Share of ‖ΔW‖² of all layers in the first directions of each: 1: /);
  expect((await runCli(['spectrum', '--model', half, '--tuned', tuned])).code).toBe(0);
});

test('folders that do not belong together are refused, and nothing is left behind', async () => {
  using folder = scratch();
  const { model, adapter } = await setUp(folder.path);
  const file = await openSafetensors(fileSource(join(model, 'model.safetensors')));
  const name = 'model.layers.0.mlp.up_proj.weight';
  const [out = 0, input = 0] = file.tensors.get(name)?.shape ?? [];
  const turned = await copyModel({
    folder: join(folder.path, 'turned'),
    deltas: new Map(),
    shape: { [name]: [input, out] },
  });
  const output = join(folder.path, 'refused');
  const refused = async (flags: readonly string[], words: RegExp): Promise<void> => {
    const outcome = await runCli(['spectrum', '--output', output, ...flags]);
    expect(outcome.stderr).toMatch(words);
    expect(outcome.code).toBe(2);
    expect(existsSync(output)).toBe(false);
  };
  await refused(
    ['--model', model, '--tuned', turned],
    new RegExp(`expected ${name} \\[${out}, ${input}\\], got \\[${input}, ${out}\\]`),
  );
  await refused(
    ['--model', model, '--tuned', join(golden, '../gpt/gpt2')],
    /as .* fine-tuned: expected the same matrices/,
  );
  await refused(
    ['--model', join(golden, '../gpt/gpt2'), '--tuned', join(golden, '../gpt/gpt2'), '--adapter', adapter],
    /the adapter: expected layers of the model, .*, got model\.layers/,
  );
  await refused(['--model', model, '--tuned', model, '--adapter', join(folder.path, 'nowhere')], /nowhere/);
  const outcome = await runCli(['spectrum', '--model', model, '--tuned', model, '--output', model]);
  expect(outcome.stderr).toMatch(/a folder of its own/);
});
