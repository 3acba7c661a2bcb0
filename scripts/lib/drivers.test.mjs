import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { browserEnvironment, findChromium } from './chromium.mjs';
import { findVulkanDriver } from './vulkanDriver.mjs';

test('VK_DRIVER_FILES is taken as it is, also when it names nothing', async () => {
  const driver = await findVulkanDriver({ VK_DRIVER_FILES: '/nonexistent' });
  expect(driver.source).toBe('VK_DRIVER_FILES=/nonexistent');
  expect(driver.env).not.toHaveProperty('VK_DRIVER_FILES');
});

test('LOWRANK_GPU=1 leaves the choice to the system', async () => {
  expect(await findVulkanDriver({ LOWRANK_GPU: '1' })).toEqual({
    source: "the system's own driver (LOWRANK_GPU=1)",
    env: {},
  });
});

test('an unknown LOWRANK_VK is refused', async () => {
  await expect(findVulkanDriver({ LOWRANK_VK: 'nothing' })).rejects.toThrow('expected swiftshader or lavapipe');
});

test('without a system Chromium, SwiftShader comes from npm', async () => {
  const env = { LOWRANK_NO_SYSTEM_CHROMIUM: '1' };
  const driver = await findVulkanDriver(env);
  const file = driver.env.VK_DRIVER_FILES;
  // macOS and Windows have nothing to choose, and say so.
  expect(file === undefined ? driver.source : readFileSync(file, 'utf8')).toMatch(
    /libvk_swiftshader|\((darwin|win32)\)/,
  );
});

test('a CHROMIUM_PATH that does not exist is named', async () => {
  await expect(findChromium({ CHROMIUM_PATH: '/no/such/browser' })).rejects.toThrow(
    'CHROMIUM_PATH=/no/such/browser: no such file',
  );
  expect((await findChromium({ CHROMIUM_PATH: process.execPath })).path).toBe(process.execPath);
});

test('a browser does not inherit the driver chosen for Node, unless for a real GPU', () => {
  const env = { HOME: '/home/x', VK_DRIVER_FILES: '/a.json', VK_ICD_FILENAMES: '/a.json' };
  expect(browserEnvironment({ LD_LIBRARY_PATH: '/libraries' }, env)).toEqual({
    HOME: '/home/x',
    LD_LIBRARY_PATH: '/libraries',
  });
  expect(browserEnvironment({}, { ...env, LOWRANK_GPU: '1' })).toEqual({ ...env, LOWRANK_GPU: '1' });
});
