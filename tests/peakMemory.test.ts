import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { root } from '../scripts/lib/paths.mjs';

const folder = mkdtempSync(join(tmpdir(), 'peakMemory-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const config = {
  model_type: 'llama',
  hidden_size: 2048,
  intermediate_size: 8192,
  num_attention_heads: 16,
  num_hidden_layers: 15,
  vocab_size: 4096,
  tie_word_embeddings: true,
  rms_norm_eps: 1e-5,
};

/** A Llama of a billion bf16 parameters; the numbers repeat, since nobody looks at them. */
function writeModel(): void {
  const { hidden_size: hidden, intermediate_size: wide, num_hidden_layers: layers, vocab_size: vocabulary } = config;
  const layer: [string, number[]][] = [
    ...['q', 'k', 'v', 'o'].map((name): [string, number[]] => [`self_attn.${name}_proj`, [hidden, hidden]]),
    ['mlp.gate_proj', [wide, hidden]],
    ['mlp.up_proj', [wide, hidden]],
    ['mlp.down_proj', [hidden, wide]],
    ['input_layernorm', [hidden]],
    ['post_attention_layernorm', [hidden]],
  ];
  const shapes: [string, number[]][] = [
    ['model.embed_tokens.weight', [vocabulary, hidden]],
    ['model.norm.weight', [hidden]],
    ...Array.from({ length: layers }, (_, at) =>
      layer.map(([name, shape]): [string, number[]] => [`model.layers.${at}.${name}.weight`, shape]),
    ).flat(),
  ];
  let end = 0;
  const header = Object.fromEntries(
    shapes.map(([name, shape]) => [
      name,
      { dtype: 'BF16', shape, data_offsets: [end, (end += 2 * shape.reduce((a, b) => a * b))] },
    ]),
  );
  const json = new TextEncoder().encode(JSON.stringify(header));
  const file = openSync(join(folder, 'model.safetensors'), 'w');
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true);
  writeSync(file, length);
  writeSync(file, json);
  // bf16 patterns from 0.03 to 0.06, and their negatives.
  const numbers = Uint16Array.from(
    { length: 2 ** 22 },
    (_, i) => 0x3d00 + ((i * 2654435761) % 128) + (i % 3 === 0 ? 0x8000 : 0),
  );
  for (let written = 0; written < end; written += numbers.byteLength)
    writeSync(file, numbers, 0, Math.min(numbers.byteLength, end - written));
  closeSync(file);
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
}

test.runIf(process.platform === 'linux')(
  'a checkpoint of 2 GB loads in 4 bits within the largest matrix in f32 and 256 MB of the host’s memory',
  () => {
    writeModel();
    expect(statSync(join(folder, 'model.safetensors')).size).toBeGreaterThan(2e9);
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      [join(root, 'tests/setup/loadQuantized.mjs'), folder],
      { encoding: 'utf8' },
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
    const { peakBytes, deviceBytes } = JSON.parse(stdout) as { peakBytes: number; deviceBytes: number };
    console.log(
      `peak of the process ${(peakBytes / 2 ** 20).toFixed(0)} MiB, of which the device's own memory (here ` +
        `the CPU's) ${(deviceBytes / 2 ** 20).toFixed(0)} MiB`,
    );
    // 4.13 bits for each of a billion weights.
    expect(deviceBytes).toBeGreaterThan(0.5e9);
    expect(deviceBytes).toBeLessThan(0.56e9);
    expect(peakBytes - deviceBytes).toBeLessThan(4 * config.hidden_size * config.intermediate_size + 256 * 2 ** 20);
  },
  300_000,
);
