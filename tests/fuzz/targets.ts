import { readFileSync } from 'node:fs';
import { chatTemplate, encodeRows, loadTokenizer, parseJsonl } from '@lowrank/data';
import { readChatTemplate, readTextRows, readTokenizer } from '@lowrank/data';
import { convertAdapter, convertModel, writeGguf } from '@lowrank/gguf';
import { readAdapter, readMlxAdapter, inspectAdapter, serializeAdapter } from '@lowrank/lora';
import { methodOf, readMethod } from '@lowrank/methods';
import { filesBy, findFamily, ggufFiles, loadCausalModel, outlineModel, readJson } from '@lowrank/models';
import { loadAdapter } from '@lowrank/patch';
import { bytesSource, openSafetensors, openSharded, serializeSafetensors } from '@lowrank/safetensors';
import type { TextFiles } from '@lowrank/data';
import type { ByteSource } from '@lowrank/safetensors';
import { badJob, misfit, readEnd, readReport } from '../../packages/queue/src/envelope.js';
import { decodeJson } from '../../packages/queue/src/json.js';
import { readPieces } from '../../packages/gguf/src/sentencePiece.js';

export type Files = Readonly<Record<string, Uint8Array>>;

/** A reader, and real small files for it, of which some are changed. */
export interface Target {
  readonly name: string;
  readonly files: Files;
  /** Files that are changed, by name; default: all. */
  readonly changed?: readonly string[];
  /** A LowrankError or success, within the bounds. */
  read(files: Files): Promise<unknown>;
}

const golden = new URL(`file://${process.env['LOWRANK_FUZZ_GOLDEN'] ?? ''}/`);
const file = (path: string): Uint8Array => new Uint8Array(readFileSync(new URL(path, golden)));
const files = (folder: string, ...names: readonly string[]): Files =>
  Object.fromEntries(names.map((name) => [name.replace(/^.*\//, ''), file(`${folder}/${name}`)]));
const text = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const decode = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

const sources = (given: Files): Readonly<Record<string, ByteSource>> =>
  Object.fromEntries(Object.entries(given).map(([name, bytes]) => [name, bytesSource(bytes, name)]));
const folder = (given: Files): ReturnType<typeof filesBy> => filesBy(sources(given), 'folder');
const texts = (given: Files): TextFiles => ({
  name: 'folder',
  text: (name) => Promise.resolve(given[name] === undefined ? undefined : decode(given[name])),
});
const part = (given: Files, name: string): ByteSource => bytesSource(given[name] ?? new Uint8Array(), name);

async function readAll(opened: Awaited<ReturnType<typeof openSafetensors>>): Promise<void> {
  for (const name of opened.tensors.keys()) await opened.read(name);
}

const families = ['llamaYarn', 'gemma', 'gemma2', 'gemma3', 'gpt2', 'gptNeox', 'granite', 'mistral', 'olmo2', 'olmo3'];
const moreFamilies = ['phi3LongRope', 'qwen2', 'qwen3', 'smollm3', 'llamaDynamic', 'gpt2Untied', 'gptNeoxSequential'];

const models: Target[] = [...families, ...moreFamilies].map((family) => ({
  name: `model ${family}`,
  files: files(`families/${family}`, 'config.json', 'model.safetensors'),
  read: (given) => loadCausalModel(folder(given)),
}));

/** A config alone, which `plan` makes a model of. */
const outlines: Target[] = [...families, ...moreFamilies].map((family) => ({
  name: `outline ${family}`,
  files: files(`families/${family}`, 'config.json'),
  read: async (given) => outlineModel(await readJson(folder(given), 'config.json')),
}));

const quantized: Target = {
  name: 'quantized model',
  files: files('gpt/gpt2Untied-nf4', 'config.json', 'model.safetensors'),
  read: (given) => loadCausalModel(folder(given)),
};

const bases = new Map<string, Files>();

function adapter(name: string, place: string, base: string): Target {
  bases.set(base, files(base, 'config.json', 'model.safetensors'));
  return {
    name: `adapter ${name}`,
    files: files(place, 'adapter_config.json', 'adapter_model.safetensors'),
    async read(given) {
      const source = {
        config: await readJson(folder(given), 'adapter_config.json'),
        weights: part(given, 'adapter_model.safetensors'),
        name: 'folder',
      };
      await inspectAdapter(source);
      const read = await readAdapter(source);
      serializeAdapter(read);
      const model = outlineModel(await readJson(folder(bases.get(base) ?? {}), 'config.json'));
      await loadAdapter(model, read);
    },
  };
}

const methods: Target[] = ['ia3Llama', 'prefixLlama', 'promptLlama', 'bitfitGpt2', 'adapterLlama', 'beftLlama'].map(
  (name) => ({
    name: `method ${name}`,
    files: files(`methods/${name}`, 'adapter_config.json', 'adapter_model.safetensors'),
    async read(given) {
      const config = await readJson(folder(given), 'adapter_config.json');
      const weights = part(given, 'adapter_model.safetensors');
      const { method, stored } = await readMethod({ config, weights, name: 'folder' });
      methodOf(config, 'folder');
      const model = outlineModel(await readJson(folder(bases.get('llama/tied') ?? {}), 'config.json'));
      await method.attach(model, stored);
    },
  }),
);

const mlx: Target = {
  name: 'adapter of mlx',
  files: {
    'adapter_config.json': text({
      fine_tune_type: 'lora',
      lora_parameters: { dropout: 0.25, keys: ['self_attn.q_proj'], rank: 2, scale: 20 },
      model: 'mlx-community/some-model-4bit',
      num_layers: 1,
    }),
    'adapters.safetensors': serializeSafetensors(
      [
        { name: 'model.layers.0.self_attn.q_proj.lora_a', dtype: 'F32', shape: [3, 2], data: new Uint8Array(24) },
        { name: 'model.layers.0.self_attn.q_proj.lora_b', dtype: 'F32', shape: [2, 4], data: new Uint8Array(32) },
      ],
      {},
    ),
  },
  read: async (given) =>
    readMlxAdapter({
      config: await readJson(folder(given), 'adapter_config.json'),
      weights: part(given, 'adapters.safetensors'),
      name: 'folder',
    }),
};

const shard = (name: string): Uint8Array =>
  serializeSafetensors([{ name, dtype: 'F32', shape: [2], data: new Uint8Array(8) }], {});
const index: Target = {
  name: 'index of shards',
  files: {
    'model.safetensors.index.json': text({
      metadata: { total_size: 16 },
      weight_map: { a: 'one.safetensors', b: 'two.safetensors' },
    }),
    'one.safetensors': shard('a'),
    'two.safetensors': shard('b'),
  },
  async read(given) {
    await readAll(
      await openSharded({
        index: part(given, 'model.safetensors.index.json'),
        shard: (name) => part(given, name),
      }),
    );
  },
};

const tensors: Target = {
  name: 'safetensors',
  files: files('llama/adapters/tied-all', 'adapter_model.safetensors'),
  read: async (given) => readAll(await openSafetensors(part(given, 'adapter_model.safetensors'))),
};

const sentence = 'The quick  brown fox, 12345 jumps!\n\nÜber 東京 😀 <s></s>\u0000\t';

function tokenizer(place: string): Target {
  return {
    name: `tokenizer ${place}`,
    files: {
      ...files(place, 'tokenizer.json'),
      'tokenizer_config.json': text({
        add_bos_token: true,
        bos_token: '<s>',
        eos_token: { content: '</s>', lstrip: false },
        added_tokens_decoder: { 1: { content: '<s>', special: true } },
        additional_special_tokens: ['<x>'],
        tokenizer_class: 'LlamaTokenizer',
      }),
      'special_tokens_map.json': text({ bos_token: '<s>', additional_special_tokens: ['<y>'] }),
      'added_tokens.json': text({ '<z>': 99 }),
    },
    async read(given) {
      const read = await readTokenizer(texts(given));
      const ids = read.encode(sentence);
      read.decode(ids);
    },
  };
}

const plainTokenizer = loadTokenizer(
  JSON.parse(decode(file('llama/tied/tokenizer.json'))) as Record<string, unknown>,
  JSON.parse(decode(file('llama/tied/tokenizer_config.json'))) as Record<string, unknown>,
);

const chat = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hi 😀' },
  { role: 'assistant', content: 'Yo' },
];

const templates: Target[] = [
  "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>\n{{ message.content | trim }}{{ eos_token }}" +
    '{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}',
  "{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0].content %}{%- set rest = messages[1:] %}" +
    "{%- else %}{%- set rest = messages %}{%- endif %}{%- for m in rest %}{{- '<' + m.role + '>' + m.content ~ " +
    'loop.index0 }}{%- if tools is defined and tools %}{{ tools | tojson(indent=2) }}{%- endif %}{%- endfor %}',
  "{% macro turn(m) %}[{{ m.role | upper }}] {{ m['content'] }}{% endmacro %}{% for m in messages if m.role != " +
    "'system' %}{{ turn(m) }}{{ raise_exception('no') if loop.length > 99 }}{% endfor %}",
].map((source, at) => ({
  name: `template ${at}`,
  files: { 'chat_template.jinja': text(source) },
  async read(given) {
    const template = chatTemplate(decode(given['chat_template.jinja']), { specialTokens: { bos_token: '<s>' } });
    template.render(chat, { tools: [{ name: 'f' }] } as never);
    await readChatTemplate(texts(given));
  },
}));

const rows: Target = {
  name: 'rows',
  files: {
    'rows.jsonl': text(
      [
        { prompt: 'a b', completion: 'c d' },
        { text: 'some text 😀' },
        {
          messages: [
            { role: 'user', content: 'hi' },
            { role: 'assistant', content: 'yo' },
          ],
          tools: [],
        },
        { text: 'more' },
      ]
        .map((row) => JSON.stringify(row))
        .join('\n'),
    ),
  },
  async read(given) {
    const read = await parseJsonl(decode(given['rows.jsonl']), { name: 'rows.jsonl' });
    encodeRows(read, plainTokenizer, {
      name: 'rows.jsonl',
      vocabularySize: 96,
      maxLength: 64,
      chatTemplate: chatTemplate('{% for m in messages %}{{ m.content }}{% endfor %}'),
    });
  },
};

/** Data files of every form; what they hold is read as rows, and tokenized. */
const dataNames =
  'alpaca.json chats.parquet rows-brotli.parquet rows-gzip.parquet rows-lz4.parquet rows-none.parquet ' +
  'rows-snappy.parquet rows-zstd.parquet rows.csv rows.json rows.jsonl.gz rows.tsv semicolons.csv shareGpt.jsonl ' +
  'chats.jsonl lines.txt';
const dataFiles: Target[] = dataNames.split(' ').map((name) => ({
  name: `data ${name}`,
  files: files('data', name),
  async read(given) {
    const read = await readTextRows(new File([new Uint8Array(given[name] ?? new Uint8Array())], name), { name });
    encodeRows(read, plainTokenizer, {
      name,
      vocabularySize: 96,
      maxLength: 64,
      chatTemplate: chatTemplate('{% for m in messages %}{{ m.content }}{% endfor %}'),
    });
  },
}));

/** Whatever lies in Redis. */
const queue: Target = {
  name: 'queue jobs',
  files: {
    'job.json': text({ protocol: 1, version: '0.0.0', payload: '{"a":{"$number":"NaN"}}' }),
    'end.json': text({
      protocol: 1,
      worker: 'w',
      takeovers: 0,
      result: { status: 'done', value: '1', files: { folder: 'x', names: ['a'] } },
    }),
    'report.json': text({ type: 'started', worker: 'w', takeovers: 0 }),
  },
  read(given) {
    // BullMQ parses what Redis holds; what is no JSON never gets here.
    const parsed = (name: string): unknown => {
      try {
        return JSON.parse(decode(given[name]));
      } catch {
        return undefined;
      }
    };
    const job = parsed('job.json');
    if (badJob(job) === undefined) {
      misfit(job as Parameters<typeof misfit>[0], '0.0.0');
      try {
        decodeJson((job as { payload: string }).payload);
      } catch (error) {
        // A payload that is no JSON fails its job; so does one that is too deep.
        if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
      }
    }
    readEnd(parsed('end.json'), 'study/1');
    readReport(parsed('report.json'));
    return Promise.resolve();
  },
};

/** Model files of llama.cpp as bases: header, metadata, tokenizer and blocks of codes. */
const ggufBases: Target[] = ['llama', 'qwen3', 'gemma2', 'pieces'].map((name) => ({
  name: `gguf base ${name}`,
  files: files('ggufBases', `${name}.gguf`),
  async read(given) {
    const opened = await ggufFiles(part(given, `${name}.gguf`), `${name}.gguf`);
    await loadCausalModel(opened);
    const read = await readTokenizer({
      name,
      text: async (wanted) => {
        const source = await opened.file(wanted);
        return source && decode(await source.read(0, await source.size()));
      },
    });
    read.encode(sentence);
  },
}));

/** The writer of GGUF reads configurations and vocabularies of all kinds. */
const ggufModel: Target = {
  name: 'gguf model',
  files: files('llama/tied', 'config.json', 'tokenizer.json', 'tokenizer_config.json', 'generation_config.json'),
  async read(given) {
    const json = (name: string): Promise<Record<string, unknown>> => readJson(folder(given), name);
    const config = await json('config.json');
    const written = await convertModel({
      config,
      architecture: findFamily(config['model_type'])?.llamaCpp,
      tensors: [],
      vocabulary: {
        tokenizerJson: await json('tokenizer.json'),
        tokenizerConfig: await json('tokenizer_config.json'),
        tokenizer: plainTokenizer,
      } as never,
      name: 'fuzz',
      generationConfig: await json('generation_config.json'),
    });
    for await (const chunk of writeGguf(written)) if (chunk.length === 0) continue;
  },
};

const sentencePieces: Target = {
  name: 'tokenizer.model',
  files: files('gguf/vocabularies/sentencePiece', 'tokenizer.model'),
  read: (given) => Promise.resolve(readPieces(given['tokenizer.model'] ?? new Uint8Array())),
};

const ggufAdapter: Target = {
  name: 'gguf adapter',
  files: files('llama/adapters/tied-all', 'adapter_config.json', 'adapter_model.safetensors'),
  async read(given) {
    const config = await readJson(folder(bases.get('llama/tied') ?? {}), 'config.json');
    const written = convertAdapter({
      adapter: await readAdapter({
        config: await readJson(folder(given), 'adapter_config.json'),
        weights: part(given, 'adapter_model.safetensors'),
        name: 'folder',
      }),
      config,
      architecture: findFamily(config['model_type'])?.llamaCpp,
      name: 'fuzz',
    });
    for await (const chunk of writeGguf(written)) if (chunk.length === 0) continue;
  },
};

/** By kind, each of which gets as many inputs. */
export const targets: readonly (readonly Target[])[] = [
  [tensors],
  [index],
  [...models, quantized],
  outlines,
  [
    adapter('LoRA', 'llama/adapters/tied-all', 'llama/tied'),
    adapter('of embeddings', 'embeddings/llama', 'llama/tied'),
  ],
  methods,
  [mlx],
  ['llama/tied', 'tokenizers/pieces', 'tokenizers/bytes', 'gguf/vocabularies/byteFallback'].map(tokenizer),
  templates,
  [rows],
  dataFiles,
  [queue],
  [ggufModel, sentencePieces, ggufAdapter],
  ggufBases,
];
