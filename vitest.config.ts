import { availableParallelism } from 'node:os';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import type { TestProjectConfiguration } from 'vitest/config';
import { browserEnvironment, chromiumArgs, findChromium } from './scripts/lib/chromium.mjs';
import { packageAlias } from './scripts/lib/packageAlias.mjs';
import { root, shared } from './scripts/lib/paths.mjs';
import { wantsPackages } from './scripts/lib/packedPackages.mjs';
import { wantsRedis } from './scripts/lib/redisServer.mjs';
import { trainInNode } from './tests/setup/trainInNode.mjs';

const anywhere = '{packages/*/src,tests,examples,bench,parity,docs/{snippets,playground}}/**';
const never = ['**/node_modules/**', '**/dist/**', 'tests/browser/**', 'tests/packages/**'];
/** `npm test -- --quick` builds nothing, and needs no browser. */
const ofTheBuild =
  process.env.LOWRANK_QUICK === '1'
    ? [
        'tests/{browserPage,playground*,poolPage,reportPage,site,tabStorage}.test.ts',
        'tests/{builtExample,gpuTable,interruptions,peakMemory,runtimes}.test.ts',
        'tests/faults/faults.test.ts',
        'scripts/sizes.test.mjs',
      ]
    : [];

/**
 * A file takes the packages and what they compiled from the file before it: more than half of the unit tests' time
 * went into loading them anew. `tests/setup/leftClean.ts` fails a file that leaves the process other than it found it.
 */
const together = { isolate: false, maxWorkers: availableParallelism(), setupFiles: ['tests/setup/leftClean.ts'] };
// Most of their time is the driver compiling shaders, on one core for each process.
const onDawn = {
  ...together,
  maxWorkers: Math.min(4, together.maxWorkers),
  testTimeout: 300_000,
  hookTimeout: 120_000,
  globalSetup: 'tests/setup/vulkanDriver.mjs',
  setupFiles: [...together.setupFiles, 'tests/setup/webgpuNode.ts'],
};
const alias = packageAlias('src');

/** The browser is looked for, and may be unpacked, only when its project can run. */
const wants = (name: string): boolean => {
  const asked = process.argv.flatMap((arg, i) =>
    arg === '--project' ? [process.argv[i + 1]] : arg.startsWith('--project=') ? [arg.slice(10)] : [],
  );
  return asked.length === 0 || asked.includes(name);
};

const nodeProjects: TestProjectConfiguration[] = [
  {
    resolve: { alias },
    test: {
      name: 'unit',
      include: [`${anywhere}/*.test.ts`, '{examples,bench}/**/*.test.mjs'],
      exclude: [...never, ...ofTheBuild, '**/*.webgpu.test.ts', '**/*.shared.test.ts', '**/*.redis.test.ts'],
      testTimeout: 120_000,
      ...together,
    },
  },
  {
    resolve: { alias },
    test: {
      name: 'tooling',
      include: ['scripts/**/*.test.mjs'],
      exclude: ofTheBuild,
      testTimeout: 120_000,
      ...together,
    },
  },
  {
    resolve: { alias },
    test: {
      name: 'webgpu',
      include: [`${anywhere}/*.webgpu.test.ts`],
      exclude: never,
      sequence: { groupOrder: 1 },
      ...onDawn,
    },
  },
  ...(shared
    ? [
        {
          resolve: { alias },
          test: {
            name: 'shared',
            include: [`${anywhere}/*.shared.test.ts`],
            exclude: never,
            sequence: { groupOrder: 2 },
            ...onDawn,
          },
        },
      ]
    : []),
  ...(wantsPackages()
    ? [
        {
          test: {
            name: 'packages',
            include: ['tests/packages/*.test.ts'],
            sequence: { groupOrder: 5 },
            globalSetup: 'tests/packages/setup.mjs',
            testTimeout: 240_000,
            hookTimeout: 240_000,
          },
        },
      ]
    : []),
  // Their workers are processes that are killed and stopped on the clock.
  ...(wantsRedis()
    ? [
        {
          resolve: { alias },
          test: {
            name: 'redis',
            include: [`${anywhere}/*.redis.test.ts`],
            exclude: never,
            sequence: { groupOrder: 3 },
            fileParallelism: false,
            testTimeout: 60_000,
          },
        },
      ]
    : []),
];

async function chromiumProject(): Promise<TestProjectConfiguration> {
  const browser = await findChromium();
  return {
    resolve: { alias: packageAlias('dist') },
    server: { fs: { allow: shared ? [root, shared] : [root] } },
    // Found while a test runs, a dependency would reload the page under it.
    optimizeDeps: { include: ['vitest > chai'], noDiscovery: true },
    test: {
      name: 'chromium',
      include: ['tests/browser/**/*.test.ts'],
      exclude: shared ? [] : ['**/*.shared.test.ts'],
      setupFiles: 'tests/setup/webgpuBrowser.ts',
      sequence: { groupOrder: 4 },
      // A page at a time: they share one GPU process.
      fileParallelism: false,
      testTimeout: 300_000,
      hookTimeout: 120_000,
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        commands: { trainInNode },
        provider: playwright({
          launchOptions: { executablePath: browser.path, args: chromiumArgs, env: browserEnvironment(browser.env) },
        }),
        instances: [{ browser: 'chromium' }],
      },
    },
  };
}

export default defineConfig({
  test: {
    projects: [...nodeProjects, ...(wants('chromium') ? [await chromiumProject()] : [])],
  },
});
