import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';

test('the snippet of the page on serving: adapters side by side, mixed, off, and swapped', async () => {
  const golden = join(root, 'parity/golden/llama');
  const folder = mkdtempSync(join(tmpdir(), 'serving-'));
  const home = process.cwd();
  for (const [from, to] of [
    ['tied', 'llama'],
    ['adapters/tied-qv', 'poet'],
    ['adapters/tied-all', 'clerk'],
  ] as const)
    cpSync(join(golden, from), join(folder, to), { recursive: true });
  process.chdir(folder);
  try {
    const { sideBySide, mixed, base, swapped } = await import('../../docs/snippets/serveAdapters');
    expect(new Set(sideBySide).size).toBe(3);
    expect(new Set([mixed[0], ...sideBySide]).size).toBe(4);
    for (const texts of [mixed, base, swapped]) expect(new Set(texts).size).toBe(1);
    expect(base[0]).toBe(sideBySide[2]);
    expect(swapped[0]).toBe(sideBySide[0]);
  } finally {
    process.chdir(home);
    rmSync(folder, { recursive: true, force: true });
  }
});
