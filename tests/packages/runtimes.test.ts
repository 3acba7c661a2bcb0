import { join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';
import { findVulkanDriver } from '../../scripts/lib/vulkanDriver.mjs';
import { trainedIn, trainedInNode } from './trained';
import type { Runtime } from './trained';

// The packed packages in an empty project, as an ES module and by `require`, in every release line of Node that is
// supported, in Deno and in Bun: the same losses and the same text; in Deno on WebGPU too.
const tools = inject('tools');
const project = inject('project');

const ofTools = ['node20', 'node22', 'node24', 'node26'].map(
  (name) => [name, [join(tools, 'node_modules', name, 'bin/node')]] as const,
);
// The package that carries them is of Linux; elsewhere it is the Node that runs this.
const nodes: Readonly<Record<string, Runtime>> = Object.fromEntries(
  process.platform === 'linux' && process.arch === 'x64' ? ofTools : [['node', [process.execPath]]],
);
const bin = (name: string): string => join(root, 'node_modules/.bin', name);
const others: Readonly<Record<string, Runtime>> = {
  deno: [bin('deno'), 'run', '-A', '--node-modules-dir=manual', '--no-lock'],
  bun: [bin('bun'), 'run'],
};

const runs = [
  ...Object.entries(nodes).flatMap(([name, runtime]) => [
    [name, 'import', runtime] as const,
    [name, 'require', runtime] as const,
  ]),
  ...Object.entries(others).map(([name, runtime]) => [name, 'import', runtime] as const),
];

test.each(runs)('%s, by %s', (_, form, runtime) => {
  const expected = trainedInNode(project);
  const trained = trainedIn(runtime, project, { form });
  expect(expected.losses).toHaveLength(4);
  expect(expected.losses.at(-1)).toBeLessThan(expected.losses[0] ?? 0);
  expect(trained.text).toBe(expected.text);
  trained.losses.forEach((loss, at) => expect(loss).toBeCloseTo(expected.losses[at] ?? NaN, 4));
});

test('Deno on its own WebGPU: wgpu, and naga for the kernels, on lavapipe', async () => {
  const { VK_DRIVER_FILES: _, ...own } = process.env;
  const { env } = await findVulkanDriver({ ...own, LOWRANK_VK: 'lavapipe' });
  const [program, ...args] = others['deno'] ?? ['deno'];
  const runtime: Runtime = [program, ...args, '--unstable-webgpu'];
  const expected = trainedInNode(project);
  const trained = trainedIn(runtime, project, { device: 'webgpu', env });
  expect(trained.text).toBe(expected.text);
  expect(trained.losses).toHaveLength(4);
  trained.losses.forEach((loss, at) => expect(loss).toBeCloseTo(expected.losses[at] ?? NaN, 4));
}, 240_000);
