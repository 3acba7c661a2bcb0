/**
 * The lecture's table on real models: what full fine-tuning, BitFit, prompt and prefix tuning, bottlenecks, LoRA and
 * QLoRA reach on MiniLM and SmolLM2, by rank and by dimension of a random subspace. It takes hours on two cores, so
 * each run that is over is a line of the results at once, and the same command goes on with what is missing:
 *
 *     node bench/lecture.mjs --data ../shared/data --parts sentiment --seeds 3
 *     node bench/lecture.mjs --table
 *
 * A seed is done for every method before the next one. With the first seed a method that has several rates is trained
 * with each, in full, since a shorter trial chooses rates that are too high for a whole run; the one with the least
 * loss on held-out rows is scored and goes on. Time is the process's own on all its threads, so other work on the
 * machine, and other parts at the same time, do it little harm. `--smollm2 FOLDER` is where
 * models/smollm2-135m/make wrote to, `--digits FOLDER` where digits.mjs did.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parts } from './lib/lecture/parts.mjs';
import { appendLine, bestRate, leastLoss, ninetyPercent, readLines, tableOf } from './lib/lecture/results.mjs';
import { machine } from './lib/environment.mjs';

const { values: options } = parseArgs({
  options: {
    data: { type: 'string', default: '../shared/data' },
    smollm2: { type: 'string' },
    digits: { type: 'string', default: join(import.meta.dirname, '..', '.cache', 'digits') },
    parts: { type: 'string', default: Object.keys(parts).join() },
    methods: { type: 'string' },
    seeds: { type: 'string', default: '3' },
    threads: { type: 'string' },
    results: { type: 'string', default: join(import.meta.dirname, 'results', 'lecture.jsonl') },
    table: { type: 'boolean', default: false },
  },
});
const chosen = options.parts.split(',');
const unknown = chosen.filter((name) => parts[name] === undefined);
if (unknown.length > 0) throw new Error(`--parts ${unknown.join()}: expected some of ${Object.keys(parts).join()}`);
const seeds = Number(options.seeds);
if (!(Number.isInteger(seeds) && seeds >= 1)) throw new Error('--seeds: expected a whole number of at least 1');

if (options.table) printTables();
else await runAll();

function printTables() {
  const lines = readLines(options.results);
  for (const [name, part] of Object.entries(parts)) {
    const table = tableOf(name, part, lines);
    if (table !== undefined) console.log(`${table}\n`);
  }
  const d90 = ninetyPercent(lines);
  if (d90 !== undefined) console.log(`d₉₀ on sentiment: ${d90}`);
}

/** Every run that the results do not have yet. */
async function runAll() {
  const { createCpuBackend } = await import('@lowrank/cpu');
  const { studyTrainer, trainingRules } = await import('lowrank/node');
  const threads = options.threads === undefined ? undefined : Number(options.threads);
  const trainer = studyTrainer(() => createCpuBackend({ threads }));
  for (let seed = 0; seed < seeds; seed++)
    for (const name of chosen)
      for (const contender of contendersOf(name))
        for (const rate of ratesOf(name, contender, seed))
          await once({ name, contender, rate, seed }, { trainer, trainingRules });
}

/** @param {string} name */
function contendersOf(name) {
  const wanted = options.methods?.split(',');
  return parts[name].contenders.filter(({ method }) => wanted === undefined || wanted.includes(method));
}

/** All with the first seed; then the best alone. @returns {readonly number[]} */
function ratesOf(name, { label, rates }, seed) {
  if (seed === 0 || rates.length === 1) return rates;
  const best = bestRate(readLines(options.results), { part: name, label });
  return best === undefined ? [] : [best];
}

/** Does a run and appends its line, unless there is one. */
async function once(run, context) {
  const { name, contender, rate, seed } = run;
  const { label } = contender;
  const known = readLines(options.results).some(
    (line) => line.part === name && line.label === label && line.rate === rate && line.seed === seed,
  );
  if (known) return;
  console.log(`${new Date().toISOString()} ${name}, ${label}, rate ${rate}, seed ${seed}`);
  const line = await trained(run, context).catch((error) => ({ error: String(error?.message ?? error) }));
  appendLine(options.results, { part: name, label, rate, seed, ...line });
  console.log(JSON.stringify(line));
}

/** Trains and scores, and leaves nothing on the disk. */
async function trained({ name, contender, rate, seed }, { trainer, trainingRules }) {
  const part = parts[name];
  const place = (path) => resolve(part.root === undefined ? options.data : options[part.root], path);
  const parted = (which) => (part.valid === undefined ? [{ rows: part.heldRows, seed: 1, part: which }] : []);
  const model = name === 'restaurants' && options.smollm2 !== undefined ? resolve(options.smollm2) : place(part.model);
  const own = { ...part.training, ...contender.options, model, data: place(part.train), learningRate: rate, seed };
  const rules = trainingRules.methods[contender.method];
  const training = {
    ...(rules === undefined ? { ...own, method: contender.method } : rules.trainingOf(own)),
    parts: parted('rest'),
  };
  const folder = resolve(import.meta.dirname, '..', '.cache', 'lecture', String(process.pid));
  await mkdir(folder, { recursive: true });
  const session = await trainer.openSession();
  try {
    const begun = process.cpuUsage();
    const run = { id: name, label: contender.label, folder, training };
    const done = await session.train(run, {});
    const { user, system } = process.cpuUsage(begun);
    /** Loss alone chooses rates. */
    const scored = async (where, metrics) => {
      const scoring = { ...where, ...part.scoring, metrics, seed: 0 };
      return (await session.evaluate({ ...run, scoring }, done, {})).scores;
    };
    const valid = await scored({ data: place(part.valid ?? part.train), parts: parted('held') }, []);
    const scores = { valid };
    if (seed > 0 || !(valid.loss > leastLoss(readLines(options.results), { part: name, label: contender.label })))
      for (const [test, file] of Object.entries(part.tests))
        scores[test] = await scored({ data: place(file) }, part.metrics);
    const { trainedParameters, steps, fileBytes } = done;
    const share = trainedParameters / (await parametersOf(model));
    const { peakBytes, device } = session;
    return {
      steps,
      trained: trainedParameters,
      share,
      scores,
      fileBytes,
      peakBytes,
      cpuSeconds: (user + system) / 1e6,
      device,
      on: machine(),
    };
  } finally {
    session.dispose();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Those of the model without adapters; of an encoder with the head of two labels. @param {string} folder */
async function parametersOf(folder) {
  const { findFamily, openFolder, outlineModel, outlineTaskModel, readJson } = await import('@lowrank/models');
  const config = await readJson(await openFolder(folder), 'config.json');
  const family = findFamily(config.model_type);
  const outline = family?.isEncoder
    ? outlineTaskModel(config, { kind: family.readsImages ? 'image' : 'sequence', labels: 2 })
    : outlineModel(config);
  const distinct = new Set([...outline.namedParameters()].map(([, parameter]) => parameter));
  return [...distinct].reduce((total, { tensor }) => total + tensor.size, 0);
}
