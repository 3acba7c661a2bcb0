/** What the page offers to those who bring nothing: a model, rows and settings. */
export interface BuiltIn {
  readonly name: string;
  model(): Promise<File[]>;
  rows(): Promise<string>;
  /** Of a row that is not among `rows`. */
  prompt(): Promise<string>;
  readonly rank: number;
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
}

type Urls = Readonly<Record<string, string>>;

// The demo's base model, or, while it is not there, the tiny random model of the parity tests.
const demoModel: Urls = import.meta.glob(['../../demo/base/*.json', '../../demo/base/*.safetensors'], {
  query: '?url',
  import: 'default',
  eager: true,
});
const demoRows: Urls = import.meta.glob('../../demo/data/train.jsonl', {
  query: '?url',
  import: 'default',
  eager: true,
});
const demoUnseen: Urls = import.meta.glob('../../demo/data/test.jsonl', {
  query: '?url',
  import: 'default',
  eager: true,
});
const tinyModel: Urls = import.meta.glob(
  ['../../../parity/golden/llama/tied/*.json', '../../../parity/golden/llama/tied/*.safetensors'],
  { query: '?url', import: 'default', eager: true },
);
const tinyRows: Urls = import.meta.glob('../../../parity/golden/llama/train/rows.jsonl', {
  query: '?url',
  import: 'default',
  eager: true,
});
const tinyUnseen: Urls = import.meta.glob('../../../parity/golden/llama/train/eval.jsonl', {
  query: '?url',
  import: 'default',
  eager: true,
});

const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

async function fetchFiles(urls: Urls): Promise<File[]> {
  return Promise.all(
    Object.entries(urls).map(async ([path, url]) => {
      const response = await fetch(url);
      if (!response.ok)
        throw new Error(`${baseName(path)} could not be loaded: ${response.status} ${response.statusText}`);
      return new File([await response.blob()], baseName(path));
    }),
  );
}

async function fetchText(urls: Urls): Promise<string> {
  const [file] = await fetchFiles(urls);
  return file === undefined ? '' : file.text();
}

async function firstPrompt(urls: Urls): Promise<string> {
  const [line = '{}'] = (await fetchText(urls)).split('\n');
  return (JSON.parse(line) as { prompt?: string }).prompt ?? '';
}

const hasDemo =
  Object.keys(demoModel).some((path) => baseName(path) === 'model.safetensors') && Object.keys(demoRows).length > 0;

export const builtIn: BuiltIn = hasDemo
  ? {
      name: 'The demo’s model: a Llama of 0.26 million parameters that has read stories; it learns to write records',
      model: () => fetchFiles(demoModel),
      rows: () => fetchText(demoRows),
      prompt: () => firstPrompt(demoUnseen),
      rank: 16,
      steps: 400,
      batchSize: 8,
      learningRate: 0.004,
    }
  : {
      name: 'A tiny Llama with random weights, which learns a few rows by heart',
      model: () => fetchFiles(tinyModel),
      rows: () => fetchText(tinyRows),
      prompt: () => firstPrompt(tinyUnseen),
      rank: 8,
      steps: 100,
      batchSize: 8,
      learningRate: 0.02,
    };
