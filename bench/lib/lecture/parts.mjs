/**
 * What the lecture's table is made of: models, data, budgets, and the methods of each part with the learning rates to
 * choose from. Budgets are those that two cores can do; those on MiniLM are the ones that PyTorch was given.
 */

/**
 * @typedef {object} Contender
 * @property {string} label the row of the table
 * @property {string} method as `compare` names it, or `subspace`
 * @property {readonly number[]} rates learning rates to choose from
 * @property {Readonly<Record<string, unknown>>} [options] training options of its own
 */

/**
 * @typedef {object} Part
 * @property {string} title
 * @property {string} model folder below the data
 * @property {string} [root] an option of the command that names a folder, in which the part's files are, not the data
 * @property {string} train rows to learn from
 * @property {string} [valid] rows that choose rates; without it, `heldRows` of the others are held out
 * @property {Readonly<Record<string, string>>} tests rows that results are scored on, by name
 * @property {readonly string[]} metrics
 * @property {Readonly<Record<string, unknown>>} training options that all methods share
 * @property {number} [heldRows]
 * @property {readonly Contender[]} contenders
 * @property {{ scoreRows?: number, maxNewTokens?: number }} [scoring]
 * @property {Readonly<Record<string, readonly number[]>>} [pytorch] what PyTorch and PEFT reached at the same rate,
 *   by row, in the order of the columns of scores, in percent: torch 2.13, transformers 5.24, peft 0.21, one seed
 */

const all = { targetModules: ['all-linear'] };
const lora = { r: 8, alpha: 16, ...all };
const queryAndValue = { r: 8, alpha: 16, targetModules: ['query', 'value'] };

/** @type {readonly Contender[]} */
const methods = [
  { label: 'lora', method: 'lora', rates: [1.5e-3, 5e-3], options: lora },
  { label: 'full', method: 'full', rates: [1e-4, 3e-4] },
  { label: 'bitfit', method: 'bitfit', rates: [3e-3, 1e-2] },
  { label: 'qlora', method: 'qlora', rates: [1.5e-3, 5e-3], options: lora },
  { label: 'adapter', method: 'adapter', rates: [1.5e-3, 5e-3], options: { bottleneck: 16 } },
  { label: 'prefix', method: 'prefix', rates: [3e-3, 1e-2], options: { virtualTokens: 20 } },
  { label: 'prompt', method: 'prompt', rates: [1e-2, 3e-2], options: { virtualTokens: 20 } },
];
const onEncoder = [...methods];
onEncoder.splice(2, 0, {
  label: 'lora on query, value',
  method: 'lora',
  rates: [1.5e-3, 5e-3],
  options: queryAndValue,
});

/** Rates that PyTorch's runs had chosen on the same held-out rows, of three around them. */
const settled = { lora: [1.5e-3], full: [1e-4], bitfit: [3e-3], qlora: [1.5e-3] };

const schedule = { batchSize: 16, schedule: 'linear', warmup: 0.06, weightDecay: 0 };
const sentiment = {
  model: 'models/minilm',
  train: 'datasets/sentiment/train.jsonl',
  valid: 'datasets/sentiment/valid.jsonl',
  metrics: ['accuracy'],
  training: { ...schedule, task: 'text-classification', maxLength: 128, steps: 375 },
};

/** @type {Readonly<Record<string, Part>>} */
export const parts = {
  sentiment: {
    ...sentiment,
    title: 'MiniLM, sentiment: accuracy',
    tests: { test: 'datasets/sentiment/test.jsonl', amazon: 'datasets/sentiment/ood-amazon.jsonl' },
    pytorch: { lora: [87.7, 87.1], full: [88.6, 87.2], 'lora on query, value': [86.9, 85.9], bitfit: [84.8, 84.5] },
    contenders: onEncoder.map((each) => ({ ...each, rates: settled[each.label] ?? each.rates })),
  },
  tokens: {
    title: 'MiniLM, extraction: entity F1',
    model: 'models/minilm',
    train: 'datasets/extraction/tokens-train.jsonl',
    valid: 'datasets/extraction/tokens-valid.jsonl',
    tests: { test: 'datasets/extraction/tokens-test.jsonl' },
    metrics: ['f1'],
    pytorch: { full: [79.5], 'lora on query, value': [74.2] },
    training: { ...schedule, task: 'token-classification', maxLength: 192, steps: 188 },
    contenders: onEncoder,
  },
  questions: {
    title: 'MiniLM, questions: exact match, F1',
    model: 'models/minilm',
    train: 'datasets/extraction/qa-train.jsonl',
    valid: 'datasets/extraction/qa-valid.jsonl',
    tests: { test: 'datasets/extraction/qa-test.jsonl' },
    metrics: ['exact-match', 'f1'],
    training: { ...schedule, task: 'question-answering', maxLength: 192, steps: 188 },
    contenders: onEncoder,
  },
  ranks: {
    ...sentiment,
    title: 'MiniLM, sentiment: LoRA on all linear layers by rank, alpha = 2r',
    tests: { test: 'datasets/sentiment/test.jsonl' },
    contenders: [1, 2, 4, 8, 16, 32, 64].map((r) => ({
      label: `r = ${r}`,
      method: 'lora',
      rates: [1.5e-3],
      options: { ...all, r, alpha: 2 * r },
    })),
  },
  dimensions: {
    ...sentiment,
    title: 'MiniLM, sentiment: training in a random subspace of d dimensions',
    tests: { test: 'datasets/sentiment/test.jsonl' },
    contenders: [300, 1000, 100, 3000, 30, 10, 10_000].map((dimension) => ({
      label: `d = ${dimension}`,
      method: 'subspace',
      rates: [1e-3, 3e-3],
      options: { dimension },
    })),
  },
  digits: {
    title: 'A ViT of 0.2 million parameters from the digits 0 to 4, on 5 to 9: accuracy',
    root: 'digits',
    model: 'base',
    train: '5to9/train.jsonl',
    valid: '5to9/valid.jsonl',
    tests: { test: '5to9/test.jsonl' },
    metrics: ['accuracy'],
    training: { ...schedule, task: 'image-classification', batchSize: 32, steps: 94 },
    // A rate each, which was not searched for.
    contenders: [
      { label: 'lora, r = 2 on queries, values', method: 'lora', rates: [1e-2], options: { r: 2, alpha: 4 } },
      { label: 'full', method: 'full', rates: [1e-3] },
      { label: 'lora, r = 8 on all linear', method: 'lora', rates: [1e-2], options: lora },
    ],
  },
  restaurants: {
    title: 'SmolLM2-135M-Instruct, E2E: ROUGE-L, BLEU',
    model: 'models/smollm2-135m',
    train: 'datasets/e2e-nlg/train.jsonl',
    tests: { test: 'datasets/e2e-nlg/test.jsonl' },
    metrics: ['rouge-l', 'bleu'],
    training: { ...schedule, batchSize: 4, steps: 60 },
    scoring: { scoreRows: 40 },
    heldRows: 40,
    contenders: methods.map((each) => ({
      ...each,
      rates: each.method === 'full' ? [1e-5, 5e-5] : each.rates,
      options: { ...each.options, ...(each.method === 'full' && { optimizer: 'adamw8bit' }) },
    })),
  },
};
