/**
 * The demo: a small base model that knows stories about people and their things learns, with LoRA, to turn a sentence
 * into a record. `npm run demo` at the root installs, builds and runs this.
 * `node run.mjs [--device auto|webgpu|cpu] [--seed N] [--test-seed N] [--output DIR]`
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { chooseBackend, isLowrankError, LowrankError } from 'lowrank';
import { examine } from './examine.mjs';
import { baseFolder, fineTune } from './fineTune.mjs';
import { finetuning, maxNewTokens } from './recipe.mjs';
import { progressBar, table } from './show.mjs';
import { makeTask } from './task.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const readRows = (name) =>
  readFileSync(new URL(`data/${name}.jsonl`, import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const say = (text = '') => console.log(text);

function readFlags() {
  const { values } = parseArgs({
    options: {
      device: { type: 'string', default: 'auto' },
      seed: { type: 'string', default: '0' },
      'test-seed': { type: 'string' },
      output: { type: 'string' },
    },
  });
  const whole = (flag) => {
    const number = Number(values[flag]);
    if (Number.isInteger(number) && number >= 0) return number;
    throw new LowrankError({
      code: 'demo.flag',
      what: `--${flag}`,
      expected: 'a whole number of at least 0',
      got: values[flag],
    });
  };
  return {
    device: values.device,
    seed: whole('seed'),
    testSeed: values['test-seed'] === undefined ? undefined : whole('test-seed'),
    output: values.output === undefined ? join(root, 'out/demo/adapter') : resolve(values.output),
  };
}

/** Before the work: an adapter that cannot be saved would be a pity. */
function makeFolder(path) {
  try {
    mkdirSync(path, { recursive: true });
  } catch (cause) {
    throw new LowrankError({
      code: 'demo.output',
      what: `--output ${path}`,
      expected: 'a folder that can be made',
      got: cause.code,
      cause,
    });
  }
}

/** Loss and answers on the rows that no training sees, with a bar. */
async function watchExam(label, exam) {
  const bar = progressBar(label, maxNewTokens, 'tokens');
  const result = await examine({ ...exam, onToken: (written) => bar.update(written) });
  bar.end(`loss ${result.loss.toFixed(3)}, ${result.exact} of ${exam.rows.length} answers right`);
  return result;
}

async function watchTraining(options) {
  const bar = progressBar('Training', finetuning.steps, 'steps');
  const result = await fineTune({
    ...options,
    onStep: ({ step, loss }) => bar.update(step, `loss ${loss.toFixed(3)}`),
  });
  bar.end(`loss ${result.finalLoss.toFixed(3)}`);
  return result;
}

function tellResults({ rows, before, after, trained }) {
  const percent = (n) => `${Math.round((100 * n) / rows.length)}%`;
  say();
  say(
    `Trained ${trained.parameters.toLocaleString('en')} parameters for ${trained.steps} steps on ` +
      `${trained.tokens.toLocaleString('en')} tokens in ${trained.seconds.toFixed(1)} s.`,
  );
  say();
  say(
    table([
      [`${rows.length} rows never trained on`, 'before', 'after'],
      ['loss', before.loss.toFixed(3), after.loss.toFixed(3)],
      ['exact match', percent(before.exact), percent(after.exact)],
    ]),
  );
  say();
  for (const i of [0, 1, 2]) {
    say(`  sentence  ${rows[i].prompt}`);
    say(`  before    ${before.answers[i].trim().replaceAll('\n', ' ').slice(0, 100)}`);
    say(`  after     ${after.answers[i].trim()}`);
    say(`  wanted    ${rows[i].completion.trim()}`);
    say();
  }
}

function tellUse(output) {
  const base = relative(root, baseFolder);
  const nearby = relative(root, output);
  const adapter = nearby.startsWith('..') ? output : nearby;
  say(`The adapter lies in ${adapter} (PEFT's files). Use it, from the root of the repository:`);
  say();
  say(`  npm run --silent lowrank -- generate --model ${base} --adapter ${adapter} \\`);
  say(`    --prompt "Anna has three red apples in Oslo." --max-new-tokens ${maxNewTokens} --temperature 0`);
  say(
    `  npm run --silent lowrank -- merge --model ${base} --adapter ${adapter} --output ${join(adapter, '../merged')}`,
  );
}

async function main() {
  const { device, seed, testSeed, output } = readFlags();
  makeFolder(output);
  const trainRows = readRows('train');
  const rows = testSeed === undefined ? readRows('test') : makeTask({ testSeed }).test;
  const { backend, note } = await chooseBackend(device);
  try {
    if (note !== undefined) say(note);
    say(`Device:     ${backend.name}, ${backend.description}`);
    say(
      `Base model: ${relative(root, baseFolder)}, a Llama of 0.26 million parameters that has read stories, ` +
        'never a record',
    );
    say(
      `Task:       ${trainRows.length} rows to train on, ${rows.length} others to test; a sentence becomes a ` +
        'record, such as',
    );
    say(`            ${trainRows[0].prompt}`);
    say(`            ${trainRows[0].completion.trim()}`);
    say();
    const before = await watchExam('Before', { backend, rows });
    const trained = await watchTraining({ backend, rows: trainRows, output, seed });
    const after = await watchExam('After', { backend, rows, adapter: output });
    tellResults({ rows, before, after, trained });
    tellUse(output);
    if (after.exact <= 0.8 * rows.length) {
      say(`Only ${after.exact} of ${rows.length} answers are right, where more than 80% was expected.`);
      process.exitCode = 1;
    }
  } finally {
    backend.dispose();
  }
}

/** What the reader can mend is told in one sentence; anything else keeps its stack. */
function complain(error) {
  const mendable = isLowrankError(error) || String(error.code).startsWith('ERR_PARSE_ARGS');
  console.error(mendable ? `demo: ${error.message}` : error);
  process.exitCode = mendable ? 2 : 1;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main().catch(complain);
