// MNIST's IDX files as a folder of classes, and a ViT that has learned nothing.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32, deflateSync, gunzipSync, gzipSync } from 'node:zlib';

const side = 28;

/**
 * MNIST's digits of a part (`train-5to9`, `test`), in the order of the files.
 *
 * @param {string} source the folder of IDX files
 * @param {string} part
 * @returns {Promise<{ pixels: Buffer, label: number }[]>}
 */
export async function readDigits(source, part) {
  const [images, labels] = await Promise.all(
    [`${part}-images-idx3-ubyte.gz`, `${part}-labels-idx1-ubyte.gz`].map(async (name) =>
      gunzipSync(await readFile(join(source, name))),
    ),
  );
  const count = images.readUInt32BE(4);
  if (images.readUInt32BE(0) !== 0x803 || labels.readUInt32BE(0) !== 0x801 || labels.readUInt32BE(4) !== count)
    throw new Error(`${source}: ${part} has no IDX files of images and labels`);
  return Array.from({ length: count }, (_, at) => ({
    pixels: images.subarray(16 + at * side * side, 16 + (at + 1) * side * side),
    label: labels[8 + at],
  }));
}

/**
 * Writes digits as PNG files and `<name>.jsonl` with a row for each.
 *
 * @param {readonly { pixels: Buffer, label: number }[]} digits
 * @param {string} folder
 * @param {string} name
 */
export async function writeRows(digits, folder, name) {
  await mkdir(join(folder, name), { recursive: true });
  const rows = await Promise.all(
    digits.map(async ({ pixels, label }, at) => {
      await writeFile(join(folder, name, `${at}.png`), greyPng(pixels));
      return JSON.stringify({ image: `${name}/${at}.png`, label: String(label) });
    }),
  );
  await writeFile(join(folder, `${name}.jsonl`), `${rows.join('\n')}\n`);
}

/**
 * Writes digits as two IDX files, packed.
 *
 * @param {readonly { pixels: Buffer, label: number }[]} digits
 * @param {string} folder
 */
export async function writeIdx(digits, folder) {
  const header = (/** @type {readonly number[]} */ words) => {
    const bytes = Buffer.alloc(4 * words.length);
    words.forEach((word, at) => bytes.writeUInt32BE(word, 4 * at));
    return bytes;
  };
  const images = Buffer.concat([header([0x803, digits.length, side, side]), ...digits.map(({ pixels }) => pixels)]);
  const labels = Buffer.concat([header([0x801, digits.length]), Buffer.from(digits.map(({ label }) => label))]);
  await writeFile(join(folder, 'images.idx3'), gzipSync(images, { level: 9 }));
  await writeFile(join(folder, 'labels.idx1'), gzipSync(labels, { level: 9 }));
}

/** @param {Uint8Array} pixels 28 × 28 grey bytes */
function greyPng(pixels) {
  const lines = Buffer.alloc((side + 1) * side);
  for (let y = 0; y < side; y++) lines.set(pixels.subarray(y * side, (y + 1) * side), y * (side + 1) + 1);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 0, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(lines)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** @param {string} type @param {Buffer} data */
function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

const config = {
  architectures: ['ViTForImageClassification'],
  model_type: 'vit',
  hidden_size: 64,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  intermediate_size: 256,
  image_size: side,
  patch_size: 7,
  num_channels: 1,
  initializer_range: 0.02,
  id2label: Object.fromEntries(Array.from({ length: 5 }, (_, at) => [at, String(at)])),
  label2id: Object.fromEntries(Array.from({ length: 5 }, (_, at) => [String(at), at])),
  problem_type: 'single_label_classification',
};

const preprocessor = {
  image_processor_type: 'ViTImageProcessor',
  do_convert_rgb: false,
  size: { height: side, width: side },
  image_mean: [0.5],
  image_std: [0.5],
};

/**
 * Writes a model folder of 0.2 million weights as transformers would begin it: normal with a deviation of 0.02, norms
 * 1, biases 0.
 *
 * @param {string} folder @param {number} seed
 */
export async function writeFreshVit(folder, seed) {
  const [{ outlineTaskModel }, { Rng }, { writeSafetensors }] = await Promise.all([
    import('@lowrank/models'),
    import('@lowrank/tensor'),
    import('@lowrank/safetensors'),
  ]);
  const model = outlineTaskModel(config, { kind: 'image', labels: 5 });
  const rng = new Rng(seed);
  const entries = [...model.namedParameters()].map(([path, { tensor }]) => {
    const isNorm = path.includes('layernorm');
    const fill = (path.endsWith('.bias') && (() => 0)) || (isNorm && (() => 1)) || (() => 0.02 * rng.normal());
    const data = Float32Array.from({ length: tensor.size }, fill);
    return { name: model.storedName(path), dtype: 'F32', shape: tensor.shape, data: new Uint8Array(data.buffer) };
  });
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
  await writeFile(join(folder, 'preprocessor_config.json'), `${JSON.stringify(preprocessor, null, 2)}\n`);
  const parts = [];
  for await (const part of writeSafetensors(entries, { format: 'pt' })) parts.push(part);
  await writeFile(join(folder, 'model.safetensors'), Buffer.concat(parts));
}

/**
 * Copies a safetensors file with its f32 numbers in f16.
 *
 * @param {string} from
 * @param {string} to
 */
export async function halved(from, to) {
  const [{ fileSource, openSafetensors, serializeSafetensors }, { fromNumbers }] = await Promise.all([
    import('@lowrank/safetensors'),
    import('@lowrank/tensor'),
  ]);
  const file = await openSafetensors(fileSource(from));
  const entries = [];
  for (const [name, { shape }] of file.tensors) {
    const bytes = new Uint8Array(await file.read(name));
    const halves = fromNumbers(new Float32Array(bytes.buffer), 'f16');
    entries.push({ name, dtype: 'F16', shape, data: new Uint8Array(halves.buffer) });
  }
  await writeFile(to, serializeSafetensors(entries, { format: 'pt' }));
}
