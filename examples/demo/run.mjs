/**
 * The demo: a small base model that knows stories about people and their things learns, with LoRA, to turn a sentence
 * into a record. `npm run demo` at the root installs, builds and runs this.
 * `node run.mjs [--device auto|webgpu|cpu] [--output DIR]`
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { answer, flags, lowrank, root } from './engine.mjs';
import { progressBar, table } from './show.mjs';
import { finetuning, maxNewTokens } from './recipe.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const base = here('base');
const trainFile = here('data/train.jsonl');
const testFile = here('data/test.jsonl');
const readRows = (file) => readFileSync(file, 'utf8').trim().split('\n').map((line) => JSON.parse(line));

/** @returns {number} how many answers are the wanted text, but for blanks at the ends */
export const exactMatches = (answers, rows) =>
  rows.reduce((sum, row, i) => sum + (answers[i]?.trim() === row.completion.trim() ? 1 : 0), 0);

/** Loss and answers on the rows that no training sees. */
async function examine({ label, adapter, device, rows }) {
  const from = ['--model', base, ...(adapter ? ['--adapter', adapter] : []), '--device', device];
  const { loss } = await lowrank(['eval', ...from, '--data', testFile]);
  const bar = progressBar(`${label}: answering`, rows.length);
  const answers = await answer({
    model: base,
    adapter,
    device,
    prompts: rows.map((row) => row.prompt),
    maxNewTokens,
    onProgress: (done) => bar.update(done),
  });
  bar.end();
  return { loss, answers, exact: exactMatches(answers, rows) };
}

async function train({ device, output }) {
  const bar = progressBar('Training', finetuning.steps);
  const result = await lowrank(
    ['train', '--model', base, '--data', trainFile, '--output', output, '--device', device, ...flags(finetuning)],
    { onLine: ({ step, loss }) => step !== undefined && bar.update(step, `loss ${loss.toFixed(3)}`) },
  );
  bar.end();
  return result;
}

async function main() {
  const { values } = parseArgs({
    options: { device: { type: 'string', default: 'auto' }, output: { type: 'string', default: join(root, 'out', 'demo', 'adapter') } },
  });
  const { device, output } = values;
  mkdirSync(dirname(output), { recursive: true });
  const rows = readRows(testFile);
  const trainCount = readRows(trainFile).length;
  const say = (text = '') => console.log(text);

  say(`Base model: ${relative(root, base)} (a Llama of 0.26 million parameters that has read stories, never a record)`);
  say(`Task:       ${trainCount} rows to train on, ${rows.length} other rows to test; a sentence becomes a record, such as`);
  say(`            ${rows[0].prompt}`);
  say(`            ${rows[0].completion.trim()}`);
  say();
  const before = await examine({ label: 'Before', device, rows });
  const trained = await train({ device, output });
  const after = await examine({ label: 'After', adapter: output, device, rows });

  const percent = (n) => `${Math.round((100 * n) / rows.length)}%`;
  say();
  say(`Device: ${trained.device ?? device}`);
  say(`Trained ${trained.steps} steps on ${trained.tokens} tokens in ${trained.seconds.toFixed(1)} s.`);
  say();
  say(
    table([
      [`${rows.length} rows never trained on`, 'before', 'after'],
      ['loss', before.loss.toFixed(3), after.loss.toFixed(3)],
      ['exact match', percent(before.exact), percent(after.exact)],
    ]),
  );
  say();
  for (const i of [0, 2, 5]) {
    say(`  sentence  ${rows[i].prompt}`);
    say(`  before    ${before.answers[i].trim().replaceAll('\n', ' ').slice(0, 100)}`);
    say(`  after     ${after.answers[i].trim()}`);
    say(`  wanted    ${rows[i].completion.trim()}`);
    say();
  }
  const adapter = relative(root, output) || output;
  say(`The adapter lies in ${adapter} (PEFT files). Use it from the root of the repository:`);
  say(`  pnpm --silent lowrank generate --model ${relative(root, base)} --adapter ${adapter} \\`);
  say(`    --prompt "Anna has three red apples in Oslo." --max-new-tokens ${maxNewTokens} --temperature 0`);
  say(`  pnpm --silent lowrank merge --model ${relative(root, base)} --adapter ${adapter} --output ${join(dirname(adapter), 'merged')}`);
  if (after.exact < 0.8 * rows.length) {
    say(`Only ${percent(after.exact)} of the answers are right, where more than 80% was expected.`);
    process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main();
