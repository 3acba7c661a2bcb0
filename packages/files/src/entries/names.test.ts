import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

test('browsers may load the names: nothing below them imports Node', () => {
  const files = new Set([new URL('names.ts', import.meta.url).href]);
  const bare = new Set<string>();
  for (const file of files) {
    for (const [, name = ''] of readFileSync(new URL(file), 'utf8').matchAll(/(?:from|import\()\s*'([^']+)'/g)) {
      if (name.startsWith('.')) files.add(new URL(name.replace(/\.js$/, '.ts'), file).href);
      else bare.add(name);
    }
  }
  expect(files.size).toBe(2);
  expect([...bare]).toEqual(['@lowrank/errors']);
});
