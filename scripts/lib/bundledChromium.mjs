import { createWriteStream, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createReadStream } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { pipeline } from 'node:stream/promises';
import { brotliDecompressSync, createBrotliDecompress } from 'node:zlib';
import { cache, root } from './paths.mjs';

/**
 * The npm package `@sparticuz/chromium` carries a headless Chromium, SwiftShader with its Vulkan driver file, and
 * libvulkan, for Linux on x64. It is the way to WebGPU on a machine where nobody can install a system package.
 */
function archives() {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      `the bundled Chromium and SwiftShader are for Linux on x64, this is ${process.platform} on ${process.arch}`,
    );
  }
  const entry = createRequire(join(root, 'package.json')).resolve('@sparticuz/chromium');
  return join(dirname(dirname(entry)), 'bin');
}

/** @param {string} name @param {(folder: string) => unknown} fill @returns {Promise<string>} the filled folder */
async function unpacked(name, fill) {
  const version = JSON.parse(readFileSync(join(archives(), '../package.json'), 'utf8')).version;
  const folder = join(cache, `chromium-${version}`, name);
  if (existsSync(folder)) return folder;
  // Filled under another name first: two runs may start at once, and one may be killed half-way.
  const partial = `${folder}.${process.pid}`;
  mkdirSync(partial, { recursive: true });
  await fill(partial);
  try {
    renameSync(partial, folder);
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

/** @param {string} archive @param {string} folder */
function extract(archive, folder) {
  const tar = brotliDecompressSync(readFileSync(join(archives(), archive)));
  const done = spawnSync('tar', ['-xf', '-', '-C', folder], { input: tar, maxBuffer: 1 << 30 });
  if (done.status !== 0) throw new Error(`tar could not unpack ${archive}: ${done.error?.message ?? done.stderr}`);
}

/** The folder with `vk_swiftshader_icd.json`, `libvk_swiftshader.so` and `libvulkan.so.1`. */
export function unpackSwiftShader() {
  return unpacked('swiftshader', (folder) => extract('swiftshader.tar.br', folder));
}

/** The folder with libnss3 and its companions, for machines without them. */
export async function unpackSystemLibraries() {
  return join(await unpacked('libraries', (folder) => extract('al2023.tar.br', folder)), 'lib');
}

/** The path of a headless Chromium with SwiftShader beside it. */
export async function unpackChromium() {
  const folder = await unpacked('browser', async (partial) => {
    extract('swiftshader.tar.br', partial);
    await pipeline(
      createReadStream(join(archives(), 'chromium.br')),
      createBrotliDecompress({ chunkSize: 1 << 21 }),
      createWriteStream(join(partial, 'chromium'), { mode: 0o755 }),
    );
  });
  return join(folder, 'chromium');
}
