import { readFile } from 'node:fs/promises';
import type { ByteSource, TensorEntry } from '@lowrank/safetensors';
import { bytesSource, openSafetensors, serializeSafetensors } from '@lowrank/safetensors';
import { dequantize, quantize, QuantizedLinear } from '@lowrank/quant';
import { evaluateReference, fromBf16, ReferenceBackend, sourceOf } from '@lowrank/tensor/op';
import { describe, expect, test } from 'vitest';
import type { ModelFiles } from './files.js';
import { filesBy, filesFrom, openFolder, readJson } from './files.js';
import { createModel } from './createModel.js';
import { loadCausalModel, outlineFolder } from './load.js';
import { goldenBatch, goldenFolder, openGolden } from './testing.js';

type Entry = TensorEntry & { readonly data: Uint8Array };

const configBytes = await readFile(`${goldenFolder('tied')}/config.json`);
const config = JSON.parse(configBytes.toString()) as Record<string, unknown>;

async function entriesOf(variant: string): Promise<Entry[]> {
  const file = await openSafetensors(bytesSource(await readFile(`${goldenFolder(variant)}/model.safetensors`)));
  return Promise.all(
    [...file.tensors.values()].map(async ({ name, dtype, shape }) => ({
      name,
      dtype,
      shape,
      data: await file.read(name),
    })),
  );
}

const entries = await entriesOf('tied');
const text = (value: unknown): ByteSource => bytesSource(new TextEncoder().encode(JSON.stringify(value)));

function folder(tensors: readonly Entry[], json: unknown = config): ModelFiles {
  return filesBy(
    {
      'config.json': text(json),
      'model.safetensors': bytesSource(serializeSafetensors(tensors, {}), 'model.safetensors'),
    },
    'here',
  );
}

/** A tensor of the folder. */
function named(name: string): Entry {
  const found = entries.find((entry) => entry.name === name);
  if (found === undefined) throw new TypeError(name);
  return found;
}

const zeros = (name: string, shape: readonly number[], dtype: 'F32' | 'I32' = 'F32'): Entry => ({
  name,
  dtype,
  shape,
  data: new Uint8Array(shape.reduce((a, b) => a * b, 4)),
});

async function lossOf(files: ModelFiles): Promise<number | undefined> {
  const model = await loadCausalModel(files);
  return (await evaluateReference([model.loss(await goldenBatch(await openGolden('tied'), 'plain'))]))[0]?.[0];
}

const wanted = await lossOf(folder(entries));

test('a folder, picked files and byte sources are the same model', async () => {
  expect(await lossOf(await openFolder(goldenFolder('tied')))).toBe(wanted);
  const picked = await Promise.all(
    ['config.json', 'model.safetensors'].map(
      async (name) => new File([new Uint8Array(await readFile(`${goldenFolder('tied')}/${name}`))], name),
    ),
  );
  expect(await lossOf(filesFrom(picked))).toBe(wanted);
});

test('shards by their index', async () => {
  const halves = [entries.slice(0, 7), entries.slice(7)];
  const names = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const weightMap = Object.fromEntries(halves.flatMap((half, at) => half.map(({ name }) => [name, names[at]])));
  const shards = Object.fromEntries(
    halves.map((half, at) => [names[at] ?? '', bytesSource(serializeSafetensors(half, {}), names[at])]),
  );
  const sources: Record<string, ByteSource> = {
    'config.json': text(config),
    'model.safetensors.index.json': text({ weight_map: weightMap }),
    ...shards,
  };
  expect(await lossOf(filesBy(sources, 'here'))).toBe(wanted);
  const { [names[1] ?? '']: _, ...incomplete } = sources;
  await expect(loadCausalModel(filesBy(incomplete, 'here'))).rejects.toThrow(/here\/model-00002-of-00002\.safetensors/);
});

test('a tied head that is stored all the same, and tables of old checkpoints, are no surprise', async () => {
  const table = named('model.embed_tokens.weight');
  const more = [
    ...entries,
    { ...table, name: 'lm_head.weight' },
    zeros('model.layers.0.self_attn.rotary_emb.inv_freq', [3]),
  ];
  expect(await lossOf(folder(more))).toBe(wanted);
});

describe('a config that ties what the weights hold apart', () => {
  const own = { ...named('model.embed_tokens.weight'), name: 'lm_head.weight' };
  const doubled = {
    ...own,
    data: new Uint8Array(new Float32Array(new Uint8Array(own.data).buffer).map((x) => 2 * x).buffer),
  };

  test('the stored output projection counts where it differs from the table', async () => {
    const apart = await lossOf(folder([...entries, doubled], { ...config, tie_word_embeddings: false }));
    expect(apart).not.toBe(wanted);
    expect(await lossOf(folder([...entries, doubled]))).toBe(apart);
  });

  test('an output projection alone is the table', async () => {
    const rest = entries.filter(({ name }) => name !== 'model.embed_tokens.weight');
    expect(await lossOf(folder([...rest, own]))).toBe(wanted);
  });
});

test('what lies beside the model is left out, and said so', async () => {
  const said: string[] = [];
  const more = folder([...entries, zeros('v_head.summary.weight', [1, 24]), zeros('v_head.summary.bias', [1])]);
  await loadCausalModel(more, { onWarning: (text) => said.push(text) });
  expect(said).toEqual([
    'here: the model has no place for v_head.summary.bias, v_head.summary.weight, which are left out',
  ]);
});

test('numbers that are not finite are refused by the name of their tensor', async () => {
  const norm = named('model.norm.weight');
  const broken = { ...norm, data: new Uint8Array(new Float32Array(norm.data.byteLength / 4).fill(NaN).buffer) };
  const rest = entries.filter(({ name }) => name !== norm.name);
  await expect(loadCausalModel(folder([...rest, broken]))).rejects.toThrow(
    /model\.norm\.weight in .*finite numbers, got NaN or infinity at element 0/,
  );
});

test('more layers than tensors are refused before anything is built', async () => {
  await expect(loadCausalModel(folder(entries, { ...config, num_hidden_layers: 9999 }))).rejects.toThrow(
    /num_hidden_layers.*at most the \d+ tensors of the weights, got 9999/,
  );
});

describe('weights that do not fit are listed', () => {
  const without = (name: string): Entry[] => entries.filter((entry) => entry.name !== name);
  test.each<[string, readonly Entry[], RegExp]>([
    [
      'missing',
      without('model.layers.1.mlp.up_proj.weight'),
      /missing: model\.layers\.1\.mlp\.up_proj\.weight \[40, 24\]/,
    ],
    [
      'unexpected',
      [...entries, zeros('model.layers.2.mlp.up_proj.weight', [40, 24])],
      /unexpected: model\.layers\.2\.mlp\.up_proj\.weight/,
    ],
    [
      'misshapen',
      [...without('model.norm.weight'), zeros('model.norm.weight', [25])],
      /misshapen: model\.norm\.weight is \[25\], expected \[24\]/,
    ],
    [
      'of another dtype',
      [...without('model.norm.weight'), zeros('model.norm.weight', [24], 'I32')],
      /dtype: model\.norm\.weight is I32/,
    ],
    [
      'with a bias that the config does not call for',
      [...entries, zeros('model.layers.0.self_attn.q_proj.bias', [24])],
      /unexpected: model\.layers\.0\.self_attn\.q_proj\.bias/,
    ],
  ])('%s', async (_, tensors, message) => {
    await expect(loadCausalModel(folder(tensors))).rejects.toThrow(message);
  });

  test('many of them: some are shown, the rest is counted', async () => {
    await expect(loadCausalModel(folder(entries, { ...config, num_hidden_layers: 4 }))).rejects.toThrow(
      /missing: model\.layers\.2\..*and 8 more/,
    );
  });

  test('an untied head', async () => {
    await expect(loadCausalModel(folder(entries, { ...config, tie_word_embeddings: false }))).rejects.toThrow(
      /missing: lm_head\.weight \[96, 24\]/,
    );
  });
});

describe('folders that are none', () => {
  test.each<[string, Record<string, ByteSource>, RegExp]>([
    ['no config', {}, /here\/config\.json: expected this file/],
    [
      'no weights',
      { 'config.json': text(config) },
      /model\.safetensors or model\.safetensors\.index\.json, got neither/,
    ],
    ['a pickle', { 'config.json': text(config), 'pytorch_model.bin': text(1) }, /pickle.*Convert it/],
    [
      'config that is no JSON',
      { 'config.json': bytesSource(new TextEncoder().encode('{"model_type": ')) },
      /here\/config\.json: expected a JSON object/,
    ],
    [
      'a pointer of Git LFS',
      {
        'config.json': text(config),
        'model.safetensors': bytesSource(
          new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 4976698672\n'),
        ),
      },
      /pointer of Git LFS.*git lfs pull/,
    ],
    [
      'a config that is a pointer of Git LFS',
      { 'config.json': bytesSource(new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\n')) },
      /here\/config\.json.*pointer of Git LFS/,
    ],
    [
      'quantized by mlx',
      {
        'config.json': text({ ...config, quantization: { group_size: 64, bits: 4 } }),
        'model.safetensors': bytesSource(
          serializeSafetensors([zeros('model.norm.weight', [24]), zeros('b', [1]), zeros('c', [1])], {}),
        ),
      },
      /weights that mlx quantized to 4 bits/,
    ],
    [
      'nested 200,000 deep',
      { 'config.json': bytesSource(new TextEncoder().encode(`{"model_type":${'['.repeat(200_000)}`)) },
      /here\/config\.json: expected a JSON object/,
    ],
    ['config that is no object', { 'config.json': text([1]) }, /JSON object, got \[1\]/],
    ['no model_type', { 'config.json': text({}) }, /model_type in here\/config\.json/],
    [
      'an unknown model_type',
      { 'config.json': text({ model_type: 'mamba' }) },
      /model_type.*one of .*llama.*, got "mamba"/,
    ],
    [
      'a model_type that objects have',
      { 'config.json': text({ model_type: 'constructor' }) },
      /model_type.*one of .*llama/,
    ],
  ])('%s', async (_, sources, message) => {
    await expect(loadCausalModel(filesBy(sources, 'here'))).rejects.toThrow(message);
  });

  test('paths that are no folders', async () => {
    await expect(openFolder('/nowhere/at/all')).rejects.toThrow(/\/nowhere\/at\/all.*nothing there/);
    await expect(openFolder(`${goldenFolder('tied')}/config.json`)).rejects.toThrow(/a file/);
  });

  test('a name that objects have is no file', async () => {
    await expect(readJson(filesBy({}, 'here'), 'toString')).rejects.toThrow(/expected this file/);
  });
});

test('progress counts every byte that is read', async () => {
  const seen: number[] = [];
  let total = 0;
  await loadCausalModel(folder(entries), {
    onProgress: ({ bytes, totalBytes }) => {
      seen.push(bytes);
      total = totalBytes;
    },
  });
  expect(seen.length).toBe(entries.length);
  expect(seen.at(-1)).toBe(total);
  expect(total).toBe(entries.reduce((sum, { data }) => sum + data.byteLength, 0));
});

test('the outline of a folder compares its weights with the model, and reads none of them', async () => {
  const bytes = serializeSafetensors(entries, {});
  const header = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  let furthest = 0;
  const source = bytesSource(bytes, 'model.safetensors');
  const watched: ByteSource = {
    ...source,
    size: () => source.size(),
    read(start, end) {
      furthest = Math.max(furthest, end);
      return source.read(start, end);
    },
  };
  const model = await outlineFolder(filesBy({ 'config.json': text(config), 'model.safetensors': watched }, 'here'));
  expect(furthest).toBe(header);
  for (const [, { tensor }] of model.namedParameters()) expect(sourceOf(tensor).isEmpty).toBe(true);
  await expect(outlineFolder(folder(entries.slice(1)))).rejects.toMatchObject({ code: 'models.weights' });
});

test('fresh weights for a config: each is asked for once, by name and shape', async () => {
  const asked: string[] = [];
  const model = createModel(config, ({ name, shape, kind }) => {
    asked.push(name);
    return new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(kind === 'vector' ? 1 : 0);
  });
  expect(asked.sort()).toEqual(entries.map(({ name }) => name).sort());
  const batch = await goldenBatch(await openGolden('tied'), 'plain');
  const [loss] = await evaluateReference([model.loss(batch)]);
  const { tokens } = (await openGolden('tied')).answers.base.plain;
  expect(loss?.[0]).toBeCloseTo(tokens * Math.log(96), 9);
});

describe('quantized while loading', () => {
  const kinds = [
    { type: 'nf4' },
    { type: 'nf4', doubleQuantization: true },
    { type: 'fp4', blockSize: 32 },
    { type: 'int8' },
  ] as const;

  test.each(kinds)('%j: the loss is that of the dequantized weights', async (quantization) => {
    const model = await loadCausalModel(folder(entries), { quantization });
    const matrices = [...model.namedModules()].flatMap(([path, module]) =>
      module instanceof QuantizedLinear ? [path] : [],
    );
    expect(matrices).toHaveLength(14);
    const batch = await goldenBatch(await openGolden('tied'), 'plain');
    const [[loss] = []] = await evaluateReference([model.loss(batch)]);
    const dequantized = entries.map((entry): Entry => {
      if (!matrices.includes(entry.name.replace(/\.weight$/, ''))) return entry;
      const values = new Float32Array(new Uint8Array(entry.data).buffer);
      return {
        ...entry,
        data: new Uint8Array(
          dequantize(quantize(values, { ...quantization, shape: entry.shape, dtype: 'f32' })).buffer,
        ),
      };
    });
    const plain = await loadCausalModel(folder(dequantized));
    const [[expected] = []] = await evaluateReference([plain.loss(batch)]);
    // Codes mean products in double precision here, and values rounded to f32 there.
    expect(loss).toBeCloseTo(expected ?? NaN, 5);
    expect(loss).not.toBeCloseTo(wanted ?? NaN, 3);
  });

  test('16-bit weights are quantized as their values', async () => {
    const narrow = await entriesOf('tied-bf16');
    const model = await loadCausalModel(folder(narrow), { quantization: { type: 'nf4' } });
    const widened = narrow.map((entry): Entry =>
      entry.dtype === 'BF16'
        ? {
            ...entry,
            dtype: 'F32',
            data: new Uint8Array(
              Float32Array.from(new Uint16Array(new Uint8Array(entry.data).buffer), fromBf16).buffer,
            ),
          }
        : entry,
    );
    const wide = await loadCausalModel(folder(widened), { quantization: { type: 'nf4' } });
    const batch = await goldenBatch(await openGolden('tied'), 'plain');
    const [[a] = []] = await evaluateReference([model.loss(batch)]);
    const [[b] = []] = await evaluateReference([wide.loss(batch)]);
    expect(a).toBe(b);
  });

  test('layers may be left out, and settings are checked', async () => {
    const model = await loadCausalModel(folder(entries), {
      quantization: { type: 'nf4', skipModules: ['gate_proj', 'up_proj', 'down_proj', 'model.layers.0'] },
    });
    const quantized = [...model.namedModules()].flatMap(([path, module]) =>
      module instanceof QuantizedLinear ? [path.replace('model.layers.1.self_attn.', '')] : [],
    );
    expect(quantized).toEqual(['q_proj', 'k_proj', 'v_proj', 'o_proj']);
    await expect(
      loadCausalModel(folder(entries), { quantization: { type: 'int8', doubleQuantization: true } }),
    ).rejects.toThrow(/int8/);
  });
});

test('weights go to a backend as they arrive, which is opened when they are known to fit', async () => {
  const backend = new ReferenceBackend();
  const model = await loadCausalModel(folder(entries), {
    quantization: { type: 'nf4' },
    backend: () => Promise.resolve(backend),
  });
  expect([...model.namedParameters()].every(([, { tensor: values }]) => sourceOf(values).memory === backend)).toBe(
    true,
  );
  const opened: string[] = [];
  const open = (): Promise<ReferenceBackend> => {
    opened.push('backend');
    return Promise.resolve(backend);
  };
  await expect(loadCausalModel(folder(entries.slice(1)), { backend: open })).rejects.toThrow(/missing/);
  expect(opened).toEqual([]);
});
