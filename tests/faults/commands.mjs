// The commands whose savings are disturbed. Each is run twice: `old` makes what lies in the output, `new` is disturbed.
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';

/**
 * @typedef {object} Command
 * @property {'adapter' | 'model' | 'file'} kind what it writes
 * @property {(version: 'old' | 'new', output: string, inputs: string) => string[]} argv without `--output`
 * @property {string} [base] the model that the result belongs to, where it is none itself
 */

const golden = join(root, 'parity/golden/llama');
const [tied, untied] = [join(golden, 'tied'), join(golden, 'untied')];
const rows = join(golden, 'train/rows.jsonl');
const training = ['--data', rows, '--device', 'cpu', '--learning-rate', '0.05'];

/** What `lowrank eval` reads. */
export const evaluationRows = join(golden, 'train/eval.jsonl');

/** @type {Record<string, Command>} */
export const commands = {
  // A configuration of one saving with weights of the other would load, and give other numbers.
  train: {
    kind: 'adapter',
    base: tied,
    argv: (version) => {
      const alpha = version === 'old' ? '4' : '64';
      return ['train', '--model', tied, ...training, '--r', '4', '--alpha', alpha, '--steps', '2'];
    },
  },
  full: {
    kind: 'model',
    argv: (version) => {
      const model = version === 'old' ? untied : tied;
      return ['train', '--method', 'full', '--model', model, ...training, '--steps', '2'];
    },
  },
  merge: {
    kind: 'model',
    argv: (version) => {
      const [model, adapter] = version === 'old' ? [untied, 'untied-all'] : [tied, 'tied-all'];
      return ['merge', '--model', model, '--adapter', join(golden, 'adapters', adapter)];
    },
  },
  quantize: {
    kind: 'model',
    argv: (version) => {
      const [model, type] = version === 'old' ? [untied, 'int8'] : [tied, 'nf4'];
      return ['quantize', '--model', model, '--type', type];
    },
  },
  gguf: {
    kind: 'file',
    argv: (version) => {
      const dtype = version === 'old' ? 'f32' : 'f16';
      return ['convert', '--to', 'gguf', '--model', tied, '--dtype', dtype, '--pre-tokenizer', 'llama-bpe'];
    },
  },
  mlx: {
    kind: 'adapter',
    base: tied,
    argv: (version, _output, inputs) => ['convert', '--from', 'mlx', '--adapter', join(inputs, `mlx-${version}`)],
  },
  combine: {
    kind: 'adapter',
    base: tied,
    argv: (version) => {
      const adapter = join(golden, 'adapters', version === 'old' ? 'tied-qv' : 'tied-all');
      return ['combine', '--adapter', `${adapter}=${version === 'old' ? '0.5' : '2'}`];
    },
  },
};

/** Writes what the commands read beside the golden files: adapters in mlx-lm's layout. @param {string} folder */
export async function makeInputs(folder) {
  const built = join(root, 'packages/safetensors/dist/index.js');
  const { bytesSource, openSafetensors, serializeSafetensors } = await import(built);
  const from = join(golden, 'adapters/tied-qv');
  for (const [version, factor] of /** @type {const} */ ([
    ['old', 1],
    ['new', 3],
  ])) {
    const config = JSON.parse(readFileSync(join(from, 'adapter_config.json'), 'utf8'));
    const file = await openSafetensors(bytesSource(readFileSync(join(from, 'adapter_model.safetensors'))));
    const entries = [];
    for (const [name, { shape }] of file.tensors) {
      const values = new Float32Array(new Uint8Array(await file.read(name)).buffer);
      const [height, width] = shape;
      const turned = values.map((_, at) => factor * (values[(at % height) * width + Math.floor(at / height)] ?? NaN));
      const short = name.replace('base_model.model.', '').replace(/lora_([AB])\.weight/, halfName);
      entries.push({ name: short, dtype: 'F32', shape: [width, height], data: new Uint8Array(turned.buffer) });
    }
    const to = join(folder, `mlx-${version}`);
    mkdirSync(to, { recursive: true });
    writeFileSync(join(to, 'adapters.safetensors'), serializeSafetensors(entries, {}));
    const scale = (factor * config.lora_alpha) / config.r;
    const parameters = { rank: config.r, scale, dropout: 0 };
    const mlx = { fine_tune_type: 'lora', lora_parameters: parameters, model: 'tied', num_layers: 2 };
    writeFileSync(join(to, 'adapter_config.json'), JSON.stringify(mlx));
  }
}

/** @param {string} _ @param {string} half */
function halfName(_, half) {
  return `lora_${half.toLowerCase()}`;
}

/** @param {string} from @param {string} to */
export function copy(from, to) {
  cpSync(from, to, { recursive: true });
}
