/**
 * `node bench/loading.mjs [--config Llama-3.2-1B] [--layers N] [--quantization nf4|fp4|int8|none]
 * [--quantize-embeddings]` Time and host memory of loading a checkpoint of a model's shapes, in bf16 with random
 * numbers, onto the CPU backend, whose memory is counted apart. Takes 2.5 GB of disk for Llama-3.2-1B.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createCpuBackend } from '@lowrank/cpu';
import { loadCausalModel, openFolder, outlineModel } from '@lowrank/models';

const { values } = parseArgs({
  options: {
    config: { type: 'string', default: 'Llama-3.2-1B' },
    layers: { type: 'string' },
    quantization: { type: 'string', default: 'nf4' },
    'quantize-embeddings': { type: 'boolean', default: false },
    folder: { type: 'string' },
  },
});

/** The shapes of models by name; rotary settings and the like have no weights. */
const shapes = {
  'Llama-3.2-1B': {
    vocab_size: 128_256,
    hidden_size: 2048,
    intermediate_size: 8192,
    num_hidden_layers: 16,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: 64,
    tie_word_embeddings: true,
  },
  'SmolLM2-135M': {
    vocab_size: 49_152,
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    tie_word_embeddings: true,
  },
};

if (values.folder === undefined) measure();
else console.log(JSON.stringify(await load(values.folder)));

/** Writes the checkpoint, and loads it in a process of its own, whose peak is its own. */
function measure() {
  const shape = shapes[values.config];
  if (shape === undefined) throw new Error(`--config ${values.config}: expected ${Object.keys(shapes).join(' or ')}`);
  const layers = values.layers === undefined ? {} : { num_hidden_layers: Number(values.layers) };
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-loading-'));
  try {
    const bytes = writeCheckpoint(folder, { model_type: 'llama', ...shape, ...layers });
    console.log(`${values.config}, ${(bytes / 1e9).toFixed(2)} GB of bf16, quantization ${values.quantization}`);
    const run = spawnSync(
      process.execPath,
      [fileURLToPath(import.meta.url), ...process.argv.slice(2), '--folder', folder],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
    );
    if (run.status !== 0) throw new Error('loading failed');
    const { seconds, cpuSeconds, device, host, before } = JSON.parse(run.stdout);
    console.log(`  ${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(1)} s of processor time`);
    console.log(`  device ${(device / 1e6).toFixed(0)} MB`);
    console.log(`  host, at most, beside it ${((host - before - device) / 1e6).toFixed(0)} MB`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @returns {number} bytes of its weights */
function writeCheckpoint(folder, config) {
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  const tensors = [...outlineModel(config).namedParameters()].map(([name, { tensor }]) => [name, tensor]);
  const header = {};
  let offset = 0;
  for (const [name, { shape, size }] of tensors) {
    header[name] = { dtype: 'BF16', shape, data_offsets: [offset, (offset += 2 * size)] };
  }
  const text = Buffer.from(JSON.stringify(header));
  const head = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(head.length));
  const file = openSync(join(folder, 'model.safetensors'), 'w');
  writeSync(file, length);
  writeSync(file, head);
  // Numbers around 0, of which none is infinite: random signs and mantissas, exponents from 2^-8 to 2^-1.
  const block = new Uint16Array(2 ** 20);
  let state = 1;
  for (let i = 0; i < block.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    block[i] = ((state >>> 31) << 15) | ((119 + ((state >>> 24) & 7)) << 7) | ((state >>> 16) & 127);
  }
  for (const [, { size }] of tensors)
    for (let done = 0; done < size; done += block.length)
      writeSync(file, new Uint8Array(block.buffer, 0, 2 * Math.min(block.length, size - done)));
  closeSync(file);
  return offset;
}

async function load(folder) {
  const backend = await createCpuBackend();
  const files = await openFolder(folder);
  const before = process.memoryUsage.rss();
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const model = await loadCausalModel(files, {
    backend: () => Promise.resolve(backend),
    quantization: values.quantization === 'none' ? undefined : { type: values.quantization },
    quantizeEmbeddings: values['quantize-embeddings'],
  });
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const device = backend.memory.bytes;
  model.dispose();
  backend.dispose();
  return { seconds, cpuSeconds: (user + system) / 1e6, device, host: 1024 * process.resourceUsage().maxRSS, before };
}
