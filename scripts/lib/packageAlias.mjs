// How tools find the workspace's packages without an installed build.
import { existsSync, readdirSync } from 'node:fs';
import { root } from './paths.mjs';

/**
 * Packages resolve each other's source, so no build is needed before a test; the browser's tests take what is
 * published. An entry beside the main one, `@lowrank/tensor/op`, is `src/entries/op.ts`, built as `dist/op.js`.
 *
 * @param {'src' | 'dist'} from
 * @returns {{ find: RegExp, replacement: string }[]} aliases as Vite takes them
 */
export function packageAlias(from) {
  return readdirSync(`${root}/packages`).flatMap((folder) => {
    const name = folder === 'lowrank' ? folder : `@lowrank/${folder}`;
    const home = `${root}/packages/${folder}`;
    const main = {
      find: new RegExp(`^${name}$`),
      replacement: from === 'src' ? `${home}/src/index.ts` : `${home}/dist/index.js`,
    };
    if (!existsSync(`${home}/src/entries`)) return [main];
    const further = {
      find: new RegExp(`^${name}/([a-z]+)$`),
      replacement: from === 'src' ? `${home}/src/entries/$1.ts` : `${home}/dist/$1.js`,
    };
    return [main, further];
  });
}
