// A package's build for browsers: each source a module of its own, so that an application's bundler can leave out, and
// load later, file by file.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { build } from 'esbuild';

/** `import('node:…')` where it is run, not where it is a type. */
const ofNode = /(?<!typeof\s+)\bimport\(\s*'(node:[\w/]+)'\s*\)/g;

/**
 * `x.browser.ts` stands for `x.ts` where there is one, and `import('node:…')` rejects with an error that says what is
 * missing. A static import of Node's modules fails the build: it would fail in the page as it loads.
 *
 * @type {import('esbuild').Plugin}
 */
export const withoutNode = {
  name: 'without-node',
  setup(build) {
    build.onResolve({ filter: /^\.{1,2}\/.*\.js$/ }, ({ path, resolveDir }) => {
      const twin = join(resolveDir, path.replace(/\.js$/, '.browser.ts'));
      return existsSync(twin) ? { path: twin } : undefined;
    });
    build.onResolve({ filter: /^node:/ }, ({ path }) => ({
      errors: [{ text: `${path} is imported in what browsers load: put a .browser.ts beside this file` }],
    }));
    build.onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      const contents = text.replace(ofNode, "nodeAbsent('$1')");
      if (contents === text) return undefined;
      return { contents: `${contents}\nimport { nodeAbsent } from '@lowrank/errors';\n`, loader: 'ts' };
    });
  },
};

/**
 * What sources know of their package's version: the constant LOWRANK_VERSION.
 *
 * @param {string} folder the package's
 * @returns {Record<string, string>}
 */
export function versionOf(folder) {
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return { LOWRANK_VERSION: JSON.stringify(version) };
}

/**
 * Writes `dist/browser` of the package in the current folder: what its entries reach, at the paths of the sources.
 *
 * @param {readonly string[]} entries sources
 */
export async function buildForBrowsers(entries) {
  /** @type {import('esbuild').BuildOptions} */
  const shared = {
    format: 'esm',
    target: 'es2022',
    platform: 'browser',
    logLevel: 'warning',
    // Bundlers put a polyfill where they find these names.
    define: { process: 'undefined', Buffer: 'undefined', ...versionOf('.') },
    plugins: [withoutNode],
    tsconfigRaw: '{}',
  };
  const { metafile } = await build({
    ...shared,
    entryPoints: [...entries],
    bundle: true,
    splitting: true,
    packages: 'external',
    write: false,
    metafile: true,
    outdir: 'dist/browser',
  });
  const sources = Object.keys(metafile.inputs);
  rmSync('dist/browser', { recursive: true, force: true });
  await build({
    ...shared,
    entryPoints: sources.map((path) => ({
      in: resolve(path),
      out: relative('src', path).replace(/(\.browser)?\.ts$/, ''),
    })),
    outdir: 'dist/browser',
  });
}
