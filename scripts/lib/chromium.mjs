import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { unpackChromium, unpackSystemLibraries } from './bundledChromium.mjs';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const macApps = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];

/** What gives a headless Chromium WebGPU on its bundled SwiftShader, and keeps it from talking to the network. */
export const chromiumArgs = [
  '--headless=new',
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  ...(process.env.LOWRANK_GPU === '1'
    ? ['--enable-features=Vulkan', '--use-angle=vulkan', '--ignore-gpu-blocklist']
    : ['--use-webgpu-adapter=swiftshader']),
];

/**
 * Finds a Chromium: `CHROMIUM_PATH`, then one on the PATH (unless `LOWRANK_NO_SYSTEM_CHROMIUM=1`), then the one from
 * npm.
 *
 * @param {Record<string, string | undefined>} [env]
 * @returns {Promise<{ path: string, env: Record<string, string> }>} env: what to add to the browser's environment
 */
export async function findChromium(env = process.env) {
  if (env.CHROMIUM_PATH) {
    if (!existsSync(env.CHROMIUM_PATH)) throw new Error(`CHROMIUM_PATH=${env.CHROMIUM_PATH}: no such file`);
    return { path: env.CHROMIUM_PATH, env: {} };
  }
  const installed =
    env.LOWRANK_NO_SYSTEM_CHROMIUM === '1' ? undefined : (onPath(env) ?? macApps.find((path) => existsSync(path)));
  if (installed) return { path: installed, env: {} };
  try {
    const path = await unpackChromium();
    const lacksNss = !['/usr/lib/x86_64-linux-gnu', '/usr/lib64', '/usr/lib'].some((folder) =>
      existsSync(join(folder, 'libnss3.so')),
    );
    return { path, env: lacksNss ? { LD_LIBRARY_PATH: await unpackSystemLibraries() } : {} };
  } catch (error) {
    throw new Error(
      `no Chromium for the browser tests: ${error instanceof Error ? error.message : error}. Install ` +
        'chromium or Chrome, or set CHROMIUM_PATH.',
    );
  }
}

/** @param {Record<string, string | undefined>} env */
function onPath(env) {
  const folders = (env.PATH ?? '').split(delimiter).filter(Boolean);
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
}

/**
 * The environment to start a browser in. Chromium's Vulkan loader obeys the variables that choose Dawn's driver in
 * Node, and finds its own SwiftShader only without them.
 *
 * @param {Record<string, string>} added
 * @returns {Record<string, string>}
 */
export function browserEnvironment(added, env = process.env) {
  const driver = env.LOWRANK_GPU === '1' ? [] : ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'];
  const kept = Object.entries(env).filter(([name, value]) => value !== undefined && !driver.includes(name));
  return { ...Object.fromEntries(kept), ...added };
}
