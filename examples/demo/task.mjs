/**
 * The demo's task: a sentence of a kind that the base model knows becomes a record in YAML's flow form, which it has
 * never seen. `node task.mjs` writes data/train.jsonl and data/test.jsonl.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { drawFact, tell } from './text.mjs';
import { isKnownCity, isKnownName, makeDice } from './words.mjs';

export const trainRows = 600;
export const testRows = 100;

export const record = (fact) =>
  `{ owner: ${fact.who}, count: ${fact.count}, color: ${fact.color}, item: ${fact.item.one}, city: ${fact.city} }`;

/** Between sentence and record stands a blank, which belongs to the record's first token. */
const row = (sentence, fact) => ({ prompt: sentence, completion: ` ${record(fact)}` });

/**
 * No test sentence and no test record occurs in training; neither does any test pair of person and thing, nor any
 * made-up name or city of the test rows.
 * @param {{ testSeed?: number }} [options] other test rows for the same training rows
 * @returns {{ train: { prompt: string, completion: string }[], test: { prompt: string, completion: string }[] }}
 */
export function makeTask({ testSeed } = {}) {
  const trainDice = makeDice(7);
  const train = [];
  const test = [];
  const prompts = new Set();
  const records = new Set();
  const inTrain = new Set();
  const pair = (fact) => `${fact.who}+${fact.item.one}`;
  while (train.length < trainRows) {
    const fact = drawFact(trainDice);
    const made = row(tell(trainDice, fact), fact);
    if (prompts.has(made.prompt) || records.has(made.completion)) continue;
    prompts.add(made.prompt);
    records.add(made.completion);
    for (const key of [pair(fact), fact.who, fact.city]) inTrain.add(key);
    train.push(made);
  }
  const dice = testSeed === undefined ? trainDice : makeDice(testSeed);
  while (test.length < testRows) {
    const fact = drawFact(dice);
    const made = row(tell(dice, fact), fact);
    const known = inTrain.has(pair(fact)) || records.has(made.completion) || prompts.has(made.prompt);
    const inventedAndKnown =
      (!isKnownName(fact.who) && inTrain.has(fact.who)) || (!isKnownCity(fact.city) && inTrain.has(fact.city));
    if (known || inventedAndKnown) continue;
    prompts.add(made.prompt);
    records.add(made.completion);
    test.push(made);
  }
  return { train, test };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { train, test } = makeTask();
  const write = (name, rows) =>
    writeFileSync(new URL(`data/${name}.jsonl`, import.meta.url), rows.map((r) => `${JSON.stringify(r)}\n`).join(''));
  write('train', train);
  write('test', test);
  console.log(`data/train.jsonl: ${train.length} rows; data/test.jsonl: ${test.length} rows`);
}
