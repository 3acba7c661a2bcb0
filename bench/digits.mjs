/**
 * A ViT of 0.2 million parameters learns MNIST's digits 0 to 4 from nothing, so that others adapt it to 5 to 9. Minutes
 * on two cores; then the methods, and their table:
 *
 *     node bench/digits.mjs --data ../shared/data/datasets/digits --output .cache/digits
 *     node bench/lecture.mjs --parts digits --digits .cache/digits --results bench/results/digits.jsonl
 *     node bench/lecture.mjs --table --results bench/results/digits.jsonl
 *
 * `--site FOLDER` writes the base in 16 bits and a sample of the digits too, as the page where one draws has them.
 */
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { createCpuBackend } from '@lowrank/cpu';
import { evaluateTask, fineTuneFolder } from 'lowrank/node';
import { halved, readDigits, writeFreshVit, writeIdx, writeRows } from './lib/digits.mjs';

const { values: options } = parseArgs({
  options: {
    data: { type: 'string', default: '../shared/data/datasets/digits' },
    output: { type: 'string', default: join(import.meta.dirname, '..', '.cache', 'digits') },
    epochs: { type: 'string', default: '12' },
    site: { type: 'string' },
  },
});
const source = resolve(options.data);
const folder = resolve(options.output);
const base = join(folder, 'base');
const backend = () => createCpuBackend();

await writeAll();
await train();
if (options.site !== undefined) await writeSite(resolve(options.site));

/** `0to4` and `5to9`, each with rows to learn from and to test; the last 500 of 5 to 9 choose learning rates. */
async function writeAll() {
  const [low, high] = [join(folder, '0to4'), join(folder, '5to9')];
  await writeRows(await readDigits(source, 'train-0to4'), low, 'train');
  await writeRows(await readDigits(source, 'test-0to4'), low, 'test');
  const toLearn = await readDigits(source, 'train-5to9');
  await writeRows(toLearn.slice(0, -500), high, 'train');
  await writeRows(toLearn.slice(-500), high, 'valid');
  await writeRows(await readDigits(source, 'test-5to9'), high, 'test');
}

async function train() {
  const fresh = join(folder, 'fresh');
  await writeFreshVit(fresh, 1);
  const { steps, seconds } = await fineTuneFolder({
    backend,
    model: fresh,
    data: join(folder, '0to4/train.jsonl'),
    output: base,
    overwrite: true,
    task: 'image-classification',
    method: 'full',
    learningRate: 1.5e-3,
    schedule: 'linear',
    warmup: 0.06,
    weightDecay: 0,
    batchSize: 32,
    epochs: Number(options.epochs),
  });
  await rm(fresh, { recursive: true });
  const { scores } = await evaluateTask({ model: base, data: join(folder, '0to4/test.jsonl'), backend });
  const right = (100 * scores.accuracy).toFixed(1);
  console.log(`0 to 4: ${right}% of 750 test images after ${steps} steps, ${Math.round(seconds)} s; ${base}`);
}

/** 50 each of 5 to 9 to learn from, then 20 of each digit that are in no training. */
async function writeSite(place) {
  await mkdir(place, { recursive: true });
  const firstOf = (digits, count) =>
    digits.filter(({ label }, at) => digits.slice(0, at).filter((each) => each.label === label).length < count);
  const learned = firstOf(await readDigits(source, 'train-5to9'), 50);
  await writeIdx([...learned, ...firstOf(await readDigits(source, 'test'), 20)], place);
  await halved(join(base, 'model.safetensors'), join(place, 'model.safetensors'));
  for (const name of ['config.json', 'preprocessor_config.json']) await copyFile(join(base, name), join(place, name));
}
