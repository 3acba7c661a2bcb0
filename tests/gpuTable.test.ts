import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { root } from '../scripts/lib/paths.mjs';

// What bench/gpu.sh runs after the tests, of the built packages: on SwiftShader, a model of one layer, without PyTorch.

const folder = mkdtempSync(join(tmpdir(), 'lowrank-gpu-table-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Row {
  readonly method: string;
  readonly precision: string;
  readonly who: string;
  readonly ms?: number;
  readonly reason?: string;
}

/** Runs the table; it ends with 0 where every row in f32 has a time. */
async function table(...flags: string[]): Promise<{ code: number; text: string; rows: Row[] }> {
  const args = ['bench/gpuTable.mjs', '--tiny', '--software', '--out', folder, ...flags];
  const env = { ...process.env, LOWRANK_VK: 'swiftshader', LOWRANK_PYTHON: join(folder, 'no-python') };
  const ended = await new Promise<{ code: number; text: string }>((resolve) => {
    execFile(process.execPath, args, { cwd: root, env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), text: stdout + stderr }),
    );
  });
  const { rows } = JSON.parse(readFileSync(join(folder, 'table.json'), 'utf8')) as { rows: Row[] };
  return { ...ended, rows };
}

test('times a step with LoRA and QLoRA, and says of every other row why it was not run', async () => {
  const { code, text, rows } = await table();
  expect(code).toBe(0);
  expect(rows.map(({ method, precision, who }) => `${who} ${method} ${precision}`)).toEqual([
    'PyTorch + PEFT lora bf16',
    'Lowrank lora f32',
    'Lowrank lora mixed',
    'Lowrank qlora f32',
    'Lowrank qlora mixed',
  ]);
  for (const { precision, ms, reason } of rows)
    if (precision === 'f32') expect(ms).toBeGreaterThan(0);
    else if (ms === undefined) expect(reason).toMatch(precision === 'bf16' ? /no Python with torch/ : /f16/);
  expect(text).toContain('| SmolLM2-135M | 1×16 | lora | f32 | Lowrank | ');
  expect(text).toContain('not run: no Python with torch');
}, 600_000);

test('a row that takes too long is ended, and the others follow', async () => {
  const { code, rows } = await table('--limit', '0.2');
  expect(code).toBe(1);
  expect(rows).toHaveLength(5);
  for (const { who, reason } of rows) if (who === 'Lowrank') expect(reason).toBe('it took longer than 0.2 s (--limit)');
});
