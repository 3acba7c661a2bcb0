import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { unpackSwiftShader } from './bundledChromium.mjs';
import { cache } from './paths.mjs';

const chromiumFolders = [
  '/usr/lib/chromium',
  '/usr/lib64/chromium',
  '/usr/lib/chromium-browser',
  '/opt/google/chrome',
  '/opt/chromium',
];
const loaderFolders = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib', '/lib64'];

/**
 * Chooses the Vulkan driver that Dawn runs on in Node. The first that applies: `VK_DRIVER_FILES` as it is set; with
 * `LOWRANK_GPU=1` whatever the system's own loader finds (a real GPU); with `LOWRANK_VK=lavapipe` Mesa's software
 * driver; SwiftShader of an installed Chromium; SwiftShader from npm. macOS and Windows have no choice to make: Dawn
 * uses Metal and D3D12.
 *
 * @param {Record<string, string | undefined>} [env]
 * @returns {Promise<{ source: string, env: Record<string, string> }>} what to add to the environment of a process
 * before it starts: the dynamic linker reads LD_LIBRARY_PATH only then.
 */
export async function findVulkanDriver(env = process.env) {
  if (env.VK_DRIVER_FILES)
    return { source: `VK_DRIVER_FILES=${env.VK_DRIVER_FILES}`, env: await withLoader(env, env.VK_DRIVER_FILES) };
  if (!['swiftshader', 'lavapipe'].includes(env.LOWRANK_VK ?? 'swiftshader')) {
    throw new Error(`LOWRANK_VK=${env.LOWRANK_VK}: expected swiftshader or lavapipe`);
  }
  if (env.LOWRANK_GPU === '1') return { source: "the system's own driver (LOWRANK_GPU=1)", env: {} };
  if (process.platform !== 'linux') return { source: `the system's own driver (${process.platform})`, env: {} };
  const file = driverFile(env) ?? join(await unpackSwiftShader(), 'vk_swiftshader_icd.json');
  return { source: file, env: { VK_DRIVER_FILES: file, VK_ICD_FILENAMES: file, ...(await withLoader(env, file)) } };
}

/** @param {Record<string, string | undefined>} env */
function driverFile(env) {
  if (env.LOWRANK_VK === 'lavapipe') {
    const folder = '/usr/share/vulkan/icd.d';
    const name = existsSync(folder) ? readdirSync(folder).find((file) => file.startsWith('lvp_icd')) : undefined;
    if (!name)
      throw new Error(`LOWRANK_VK=lavapipe: no lvp_icd*.json in ${folder}; install mesa-vulkan-drivers, at least 25.0`);
    return join(folder, name);
  }
  if (env.LOWRANK_NO_SYSTEM_CHROMIUM === '1') return undefined;
  return chromiumFolders.map((folder) => join(folder, 'vk_swiftshader_icd.json')).find((file) => existsSync(file));
}

/**
 * Dawn loads `libvulkan.so.1` by name. Where the system has none, the one beside the driver serves, through a folder
 * that holds nothing else: Chromium's folder on the library path would replace EGL and GLES too.
 *
 * @param {Record<string, string | undefined>} env
 * @param {string} driver
 * @returns {Promise<Record<string, string>>}
 */
async function withLoader(env, driver) {
  if (process.platform !== 'linux' || loaderFolders.some((folder) => existsSync(join(folder, 'libvulkan.so.1'))))
    return {};
  const beside = join(dirname(driver), 'libvulkan.so.1');
  const library = existsSync(beside) ? beside : join(await unpackSwiftShader(), 'libvulkan.so.1');
  const folder = join(cache, 'loader');
  mkdirSync(folder, { recursive: true });
  const link = join(folder, 'libvulkan.so.1');
  rmSync(link, { force: true });
  symlinkSync(library, link);
  return { LD_LIBRARY_PATH: [folder, env.LD_LIBRARY_PATH].filter(Boolean).join(':') };
}
