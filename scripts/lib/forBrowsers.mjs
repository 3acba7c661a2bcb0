// What a package's build for browsers leaves out.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** `import('node:…')` where it is run, not where it is a type. */
const ofNode = /(?<!typeof\s+)\bimport\(\s*'(node:[\w/]+)'\s*\)/g;

/**
 * An esbuild plugin: `x.browser.ts` stands for `x.ts` where there is one, and `import('node:…')` rejects with an error
 * that says what is missing. A static import of Node's modules fails the build: it would fail in the page as it loads.
 *
 * @type {import('esbuild').Plugin}
 */
export const forBrowsers = {
  name: 'for-browsers',
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
