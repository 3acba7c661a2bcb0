import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { root } from '../scripts/lib/paths.mjs';

// The example as a user runs it: plain Node, the built packages.
const output = mkdtempSync(join(tmpdir(), 'builtExample-'));
afterAll(() => rmSync(output, { recursive: true, force: true }));

const run = (args: string[], script = 'fineTune.mjs'): { code: number | null; out: string; complaints: string } => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`examples/node/${script}`, ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  return { code: status, out: stdout, complaints: stderr };
};

test('the example for Node trains on the built packages, saves, and ends by itself', () => {
  const { code, out, complaints } = run([
    'parity/golden/llama/tied',
    'parity/golden/llama/train/rows.jsonl',
    join(output, 'adapter'),
    '20',
  ]);
  expect(complaints).toBe('');
  expect(code).toBe(0);
  const losses = [...out.matchAll(/loss ([\d.]+)/g)].map(([, loss]) => Number(loss));
  expect(losses).toHaveLength(20);
  expect(losses.at(-1)).toBeLessThan((losses[0] ?? 0) * 0.8);
  expect(JSON.parse(readFileSync(join(output, 'adapter/adapter_config.json'), 'utf8'))).toMatchObject({
    peft_type: 'LORA',
    r: 4,
  });
});

test('without arguments it tells what it wants', () => {
  const { code, complaints } = run([]);
  expect(code).toBe(2);
  expect(complaints).toContain('Usage');
});

test('mails of a CSV are sorted as those before them were', () => {
  const folder = 'parity/golden/tasks/text-classification';
  const rowsOf = (part: string): { text: string; label: string }[] =>
    readFileSync(join(root, folder, `${part}.jsonl`), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { text: string; label: string });
  const write = (name: string, lines: readonly string[]): string => {
    const path = join(output, name);
    writeFileSync(path, lines.join('\n'));
    return path;
  };
  const [sorted, inbox] = [rowsOf('train'), rowsOf('valid')];
  const learned = write('sorted.csv', ['text,label', ...sorted.map(({ text, label }) => `"${text}",${label}`)]);
  const asked = write('inbox.csv', ['text', ...inbox.map(({ text }) => `"${text}"`)]);
  const adapter = join(output, 'sorter');
  const { code, out } = run(['parity/golden/tasks/model', learned, asked, adapter, '80'], 'sortMail.mjs');
  expect(code).toBe(0);
  const said = out.trim().split('\n');
  expect(said).toHaveLength(inbox.length);
  const right = said.filter((line, at) => line.startsWith(`${inbox[at]?.label ?? ''}\t`)).length;
  expect(right / inbox.length).toBeGreaterThan(0.9);
  const source = readFileSync(join(root, 'examples/node/sortMail.mjs'), 'utf8');
  const [, part = ''] = /#region sortMail\n([\s\S]*?)\/\/ #endregion/.exec(source) ?? [];
  expect(part.split('\n').filter((line) => line.trim() !== '').length).toBeLessThanOrEqual(15);
});
