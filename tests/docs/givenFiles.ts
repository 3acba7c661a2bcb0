import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fineTuneFolder } from 'lowrank/node';
import { createCpuBackend } from '@lowrank/cpu';
import { root } from '../../scripts/lib/paths.mjs';

const golden = join(root, 'parity/golden/llama');
const template =
  "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";

/** What pages take as given, in the working folder: models, adapters and rows under the names that pages use. */
export function putGivenFiles(folder: string): void {
  for (const model of ['llama', 'my-llama', 'llama-instruct'])
    cpSync(join(golden, 'tied'), join(folder, model), { recursive: true });
  const config = join(folder, 'llama-instruct/tokenizer_config.json');
  writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), chat_template: template }));
  for (const [from, to] of [
    ['tied-all', 'adapter'],
    ['tied-all', 'support'],
    ['tied-qv', 'poet'],
    ['tied-all', 'clerk'],
  ] as const)
    cpSync(join(golden, 'adapters', from), join(folder, to), { recursive: true });
  const tasks = join(root, 'parity/golden/tasks');
  cpSync(join(tasks, 'model'), join(folder, 'minilm'), { recursive: true });
  cpSync(join(tasks, 'text-classification/adapter-final'), join(folder, 'sentiment'), { recursive: true });
  // PEFT saved it; what Lowrank saves has the labels' names beside it.
  const labels = { task: 'text-classification', id2label: { 0: 'negative', 1: 'positive' } };
  writeFileSync(join(folder, 'sentiment/task.json'), JSON.stringify(labels));
  cpSync(join(tasks, 'text-classification/valid.jsonl'), join(folder, 'reviews.jsonl'));
  for (const name of ['rows', 'train', 'test', 'held', 'heldOut'])
    cpSync(join(golden, 'train/rows.jsonl'), join(folder, `${name}.jsonl`));
}

/** A finished run of two steps in `./run`. */
export async function putGivenRun(): Promise<void> {
  const backend = await createCpuBackend({ threads: 1 });
  await fineTuneFolder({ backend, model: './llama', data: 'rows.jsonl', output: './run', steps: 2, samples: 0 });
  backend.dispose();
}
