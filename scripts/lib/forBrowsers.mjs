// What a package's build for browsers leaves out.
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** @param {string} name of a module of Node */
const absent = (name) => `import { LowrankError } from '@lowrank/errors';
throw new LowrankError({
  code: 'node.absent',
  what: ${JSON.stringify(`what needs ${name}`)},
  expected: 'Node, Deno or Bun',
  got: 'a browser, or a bundle for one',
  remedy: 'Give files, a FileSystemDirectoryHandle or a URL where this was given a path.',
});
`;

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
    build.onResolve({ filter: /^node:/ }, ({ path, kind }) =>
      kind === 'dynamic-import'
        ? { path, namespace: 'absent' }
        : { errors: [{ text: `${path} is imported in what browsers load: put a .browser.ts beside this file` }] },
    );
    build.onLoad({ namespace: 'absent', filter: /.*/ }, ({ path }) => ({ contents: absent(path), resolveDir: '.' }));
  },
};
