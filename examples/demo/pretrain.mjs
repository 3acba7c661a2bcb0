/**
 * Makes the base model of the demo from nothing: writes the stories, learns the tokenizer, draws random weights, and
 * trains all of them with `lowrank train --method full`. Needs a built workspace; overwrites base/.
 * `node pretrain.mjs [--device auto|webgpu|cpu]`
 */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { flags, lowrank } from './engine.mjs';
import { writeTokenizer } from './makeTokenizer.mjs';
import { baseConfig, pretraining } from './recipe.mjs';
import { makeStories } from './text.mjs';
import { makeDice } from './words.mjs';

/** Names and shapes of a Llama's weights, in Hugging Face's spelling. */
export function weightShapes(config) {
  const { hidden_size: h, intermediate_size: f, head_dim: d } = config;
  const q = config.num_attention_heads * d;
  const kv = config.num_key_value_heads * d;
  const shapes = { 'model.embed_tokens.weight': [config.vocab_size, h] };
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const at = (name, shape) => (shapes[`model.layers.${i}.${name}.weight`] = shape);
    at('input_layernorm', [h]);
    at('self_attn.q_proj', [q, h]);
    at('self_attn.k_proj', [kv, h]);
    at('self_attn.v_proj', [kv, h]);
    at('self_attn.o_proj', [h, q]);
    at('post_attention_layernorm', [h]);
    at('mlp.gate_proj', [f, h]);
    at('mlp.up_proj', [f, h]);
    at('mlp.down_proj', [h, f]);
  }
  shapes['model.norm.weight'] = [h];
  return shapes;
}

/** model.safetensors with norms of one and matrices from N(0, initializer_range²). */
function randomWeights(config, seed) {
  const dice = makeDice(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - dice.next())) * Math.cos(2 * Math.PI * dice.next());
  const header = { __metadata__: { format: 'pt' } };
  const parts = [];
  let offset = 0;
  for (const [name, shape] of Object.entries(weightShapes(config))) {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    for (let i = 0; i < values.length; i++) values[i] = shape.length === 1 ? 1 : config.initializer_range * normal();
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + values.byteLength] };
    offset += values.byteLength;
    parts.push(Buffer.from(values.buffer));
  }
  const json = JSON.stringify(header);
  const text = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...parts]);
}

/** Writes a model folder with random weights, and the rows to train it on. */
export function prepare(folder) {
  mkdirSync(folder, { recursive: true });
  const tokens = writeTokenizer(folder);
  if (tokens !== baseConfig.vocab_size)
    throw new Error(`The tokenizer has ${tokens} tokens; recipe.mjs says ${baseConfig.vocab_size}.`);
  writeFileSync(join(folder, 'config.json'), `${JSON.stringify(baseConfig, null, 2)}\n`);
  writeFileSync(join(folder, 'model.safetensors'), randomWeights(baseConfig, pretraining.seed));
  const stories = makeStories(pretraining.steps * pretraining['batch-size'], pretraining.seed);
  writeFileSync(join(folder, 'stories.jsonl'), stories.map((text) => `${JSON.stringify({ text })}\n`).join(''));
}

async function main() {
  const work = mkdtempSync(join(tmpdir(), 'lowrank-pretrain-'));
  const start = join(work, 'start');
  const trained = join(work, 'trained');
  const base = fileURLToPath(new URL('base', import.meta.url));
  prepare(start);
  const result = await lowrank(
    [
      'train',
      '--method',
      'full',
      '--model',
      start,
      '--data',
      join(start, 'stories.jsonl'),
      '--no-shuffle',
      '--output',
      trained,
    ].concat(flags(pretraining), process.argv.slice(2)),
    {
      onLine: (line) => {
        if (line.step % 20 === 0)
          console.log(
            `step ${line.step}/${pretraining.steps}  loss ${line.loss.toFixed(4)}  ` +
              `${Math.round(line.tokens_per_second)} tokens/s`,
          );
      },
    },
  );
  mkdirSync(base, { recursive: true });
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(start, name), join(base, name));
  copyFileSync(join(trained, 'model.safetensors'), join(base, 'model.safetensors'));
  rmSync(work, { recursive: true });
  console.log(
    `base/ written: loss ${result.final_loss.toFixed(4)} after ${result.steps} steps, ${Math.round(result.seconds)} s`,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
