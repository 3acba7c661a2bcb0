import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('.', import.meta.url));

/** Packages resolve each other's source, so no build is needed before a test. */
export const alias = Object.fromEntries(
  readdirSync(`${root}packages`).map((name) => [
    name === 'lowrank' ? name : `@lowrank/${name}`,
    `${root}packages/${name}/src/index.ts`,
  ]),
);

export default defineConfig({
  resolve: { alias },
  test: {
    include: ['packages/*/src/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/*.shared.test.ts', '**/*.webgpu.test.ts'],
    testTimeout: 60_000,
  },
});
