// A model in a tab of headless Chromium on the CPU backend: streamed into the origin's file system, quantized on the
// way to the device, trained for ten steps, asked for an answer; then the same ten steps in Node. Prints, as JSON, the
// tab's peak memory (the renderer process, proportional share; Linux), times, tokens a second, and how far the losses
// are apart. Wants `pnpm build`.
//
//   node bench/tab.mjs --model FOLDER [--quantization nf4|none] [--batch 4] [--length 64] [--checkpointing]
import { parseArgs } from 'node:util';
import { fineTune, loadModel } from '../packages/lowrank/dist/index.js';
import { launchTabs, renderers, workerOf } from '../tests/helpers/tabBrowser.mjs';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    quantization: { type: 'string', default: 'nf4' },
    batch: { type: 'string', default: '4' },
    length: { type: 'string', default: '64' },
    checkpointing: { type: 'boolean', default: false },
  },
});
const { model: folder, checkpointing } = values;
if (folder === undefined) throw new Error('--model FOLDER');
const quantization = values.quantization === 'none' ? undefined : values.quantization;

const data = Array.from({ length: 40 }, (_, i) => ({
  prompt: `Question ${i}: what is ${i} plus ${i}? Answer:`,
  completion: ` ${i + i}, since twice ${i} is ${2 * i}.`,
}));
const options = {
  data,
  r: 8,
  steps: 10,
  batchSize: Number(values.batch),
  maxLength: Number(values.length),
  checkpointing,
};

/** @type {Record<string, number>} megabytes by phase */
const peaks = {};
let phase = 'empty';
const timer = setInterval(() => {
  const bytes = renderers()[0]?.bytes ?? 0;
  peaks[phase] = Math.max(peaks[phase] ?? 0, Math.round(bytes / 1e6));
}, 50);

/** @typedef {import('../tests/helpers/tab/modules.js').TabModules} TabModules */
const browser = await launchTabs({ model: folder });
const page = await browser.page();
const worker = await workerOf(page);
await new Promise((resolve) => void setTimeout(resolve, 500));

phase = 'download';
const source = `${browser.url}/models/model`;
const downloading = await worker.evaluate(async (source) => {
  const { storage } = /** @type {{ tab: TabModules }} */ (/** @type {unknown} */ (globalThis)).tab;
  const began = performance.now();
  const kept = await (await storage.openStorage()).keepModel(source);
  return { seconds: (performance.now() - began) / 1000, bytes: kept.bytes };
}, source);

phase = 'load';
const loading = await worker.evaluate(
  async ({ source, quantization }) => {
    const own = /** @type {{ tab: TabModules, model?: unknown }} */ (/** @type {unknown} */ (globalThis));
    const began = performance.now();
    own.model = await own.tab.lowrank.loadModel(source, {
      device: 'cpu',
      quantization: /** @type {'nf4' | undefined} */ (quantization),
    });
    return { seconds: (performance.now() - began) / 1000 };
  },
  { source, quantization },
);

phase = 'train';
const training = await worker.evaluate(async (options) => {
  const own = /** @type {{ tab: TabModules, model: import('lowrank').Model }} */ (/** @type {unknown} */ (globalThis));
  /** @type {number[]} */
  const losses = [];
  const run = await own.tab.lowrank.fineTune(own.model, {
    ...options,
    output: 'lowrank/runs/tab',
    saveEvery: 5,
    onStep: ({ loss }) => losses.push(loss),
  });
  return { losses, tokensPerSecond: run.tokens / run.seconds, seconds: run.seconds, tokens: run.tokens };
}, options);

phase = 'chat';
const answer = await worker.evaluate(async () => {
  const own = /** @type {{ model: import('lowrank').Model }} */ (/** @type {unknown} */ (globalThis));
  const began = performance.now();
  const text = await own.model
    .chat([{ role: 'user', content: 'Say hello.' }], { maxNewTokens: 24, temperature: 0 })
    .text();
  return { text, seconds: (performance.now() - began) / 1000 };
});
clearInterval(timer);
await browser.close();

const model = await loadModel(folder, { device: 'cpu', quantization: /** @type {'nf4' | undefined} */ (quantization) });
/** @type {number[]} */
const losses = [];
await fineTune(model, { ...options, onStep: ({ loss }) => losses.push(loss) });
await model.dispose();
const apart = Math.max(...losses.map((loss, at) => Math.abs(loss - (training.losses[at] ?? NaN))));
console.log(
  JSON.stringify(
    { peakMegabytes: peaks, downloading, loading, training, answer, largestDifferenceFromNode: apart },
    null,
    2,
  ),
);
