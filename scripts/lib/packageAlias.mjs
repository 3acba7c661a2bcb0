// How tools find the workspace's packages without an installed build.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';

/**
 * Packages resolve each other's source, so no build is needed before a test; the browser's tests take what is published
 * for browsers. An entry beside the main one, `@lowrank/tensor/op`, is `src/entries/op.ts`.
 *
 * @param {'src' | 'dist'} from
 * @returns {{ find: RegExp, replacement: string }[]} aliases as Vite takes them
 */
export function packageAlias(from) {
  return readdirSync(`${root}/packages`).flatMap((folder) => {
    const home = `${root}/packages/${folder}`;
    /** @type {{ name: string, exports: Record<string, string | Record<string, string>> }} */
    const { name, exports } = JSON.parse(readFileSync(`${home}/package.json`, 'utf8'));
    return Object.entries(exports).flatMap(([entry, target]) => {
      if (typeof target === 'string') return [];
      const built = /^\.\/dist\/browser\/(.*)\.js$/.exec(target.default ?? '')?.[1];
      const source = `src/${built ?? (entry === '.' ? 'index' : `entries/${entry.slice(2)}`)}.ts`;
      const replacement = from === 'src' ? source : (target.default ?? target.node ?? '');
      return [{ find: new RegExp(`^${name}${entry.slice(1)}$`), replacement: join(home, replacement) }];
    });
  });
}
