import { join } from 'node:path';
import { expect, test } from 'vitest';
import { golden, runCli, scratch } from '../testing.js';

test('train tells people how to use what was learned, and the commands run as they are written', async () => {
  using folder = scratch();
  const output = join(folder.path, 'my run');
  const [model, data] = [join(golden, 'tied'), join(golden, 'train/rows.jsonl')];
  const argv = ['train', '--model', model, '--data', data, '--output', output, '--steps', '2', '--device', 'cpu'];
  const { code, stderr } = await runCli(argv);
  expect(code).toBe(0);
  expect(stderr).toContain('to use it:\n');
  expect(stderr).toContain(`  lowrank generate --model ${model} --adapter '${output}' --prompt "…"\n`);
  const merge = stderr.split('\n').find((line) => line.startsWith('  lowrank merge '));
  expect(merge).toBe(`  lowrank merge --model ${model} --adapter '${output}' --output ./merged`);
  const merged = await runCli([
    'merge',
    '--model',
    model,
    '--adapter',
    output,
    '--output',
    join(folder.path, 'merged'),
  ]);
  expect(merged.code).toBe(0);
});

test('of a task they predict', async () => {
  using folder = scratch();
  const tasks = join(golden, '../tasks');
  const [model, data] = [join(tasks, 'model'), join(tasks, 'text-classification/train.jsonl')];
  const output = join(folder.path, 'run');
  const argv = ['train', '--model', model, '--data', data, '--output', output, '--steps', '1', '--device', 'cpu'];
  const { code, stderr } = await runCli(argv);
  expect(code).toBe(0);
  expect(stderr).toContain(`  lowrank predict --model ${model} --adapter ${output} --data rows.jsonl\n`);
  expect(stderr).not.toContain('lowrank generate');
});
