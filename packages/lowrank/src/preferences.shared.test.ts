import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { FineTuneResult } from './jobs/fineTune.js';
import { readJson, runCli, scratch } from './testing.js';

const shared = fileURLToPath(new URL('../../../../shared/data', import.meta.url));
const template =
  '{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}' +
  '{% if add_generation_prompt %}assistant: {% endif %}';

const words = (text: string): string[] => text.split(' ');

test('DPO on published pairs raises the margin on pairs that it has not seen', async () => {
  using folder = scratch();
  const rows = readJson<object[]>(join(shared, 'datasets/demo-formats/dpo_en_demo.json'));
  const file = (name: string, from: number, to: number): string => {
    const path = join(folder.path, name);
    writeFileSync(path, JSON.stringify(rows.slice(from, to)));
    return path;
  };
  const jinja = join(folder.path, 'chat.jinja');
  writeFileSync(jinja, template);
  const [seen, held] = [file('seen.json', 0, 220), file('held.json', 260, 300)];
  const model = join(shared, 'models/stories260K');
  const output = join(folder.path, 'adapter');
  const reading = words(`--template ${jinja} --max-length 192 --loss dpo --beta 0.1 --device cpu --json`);
  const trained = await runCli([
    ...words(`train --model ${model} --data ${seen} --eval-data ${held} --output ${output} --batch-size 4`),
    ...words('--steps 30 --learning-rate 1e-2 --r 8 --target-modules all-linear'),
    ...reading,
  ]);
  const result = trained.json<FineTuneResult>().at(-1);
  // Before training the margin is 0.
  expect(result?.eval_margin).toBeGreaterThan(0.5);
  expect(result?.eval_accuracy).toBeGreaterThanOrEqual(0.6);
  const evaluated = await runCli([...words(`eval --model ${model} --adapter ${output} --data ${held}`), ...reading]);
  const [again] = evaluated.json<{ margin: number; accuracy: number }>();
  expect(again?.margin).toBeCloseTo(result?.eval_margin ?? NaN, 4);
});
