import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from './lib/paths.mjs';
import { packageFolders } from './lib/workspace.mjs';
import { firstLoadOf, pages } from './pageSizes.mjs';
import { budgets, sizeOf } from './sizes.mjs';

const names = packageFolders().map((folder) => basename(folder));

/** What would betray a package that knows more than it should, or Node's modules in what a browser loads. */
const mustNotAppear = {
  tensor: ['GPUDevice', 'createBuffer', 'node:fs'],
  models: ['lora_A', 'GPUDevice'],
  trainer: ['lora_A', 'GPUDevice', 'node:fs'],
  nn: ['lora_A', 'GPUDevice', 'node:fs'],
};

test('every package has a budget', () => {
  expect(Object.keys(budgets().packages).sort()).toEqual(names.sort());
});

test.each(names)('%s is built and within its budget of gzipped bytes', (name) => {
  const size = sizeOf(join(root, 'packages', name, 'dist'));
  expect(size, `packages/${name}/dist is not built: run pnpm build`).toBeGreaterThan(0);
  expect(size).toBeLessThanOrEqual(budgets().packages[name]);
});

test.each(Object.entries(pages))('%s loads no more than its budget of gzipped bytes at first', async (name, page) => {
  const { bytes, modules } = await firstLoadOf(page);
  const ours = Object.keys(modules).filter((id) => id.startsWith(join(root, 'packages')));
  expect(ours.length).toBeGreaterThan(0);
  expect(ours.filter((id) => !id.includes('/dist/browser/'))).toEqual([]);
  expect(bytes).toBeLessThanOrEqual(budgets().pages[name]);
});

test.each(Object.entries(mustNotAppear))('%s does not carry %j', (name, words) => {
  const dist = join(root, 'packages', name, 'dist');
  const text = readdirSync(dist, { recursive: true })
    .filter((file) => String(file).endsWith('.js'))
    .map((file) => readFileSync(join(dist, String(file)), 'utf8'))
    .join('\n');
  expect(text.length).toBeGreaterThan(0);
  for (const word of words) expect(text.includes(word), `${word} in ${name}`).toBe(false);
});
