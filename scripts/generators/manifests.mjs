// What a package's manifest repeats of its `exports` for tools that do not read them, as Parcel does not unless it is
// told: `main`, and `browser` as a map from paths to paths.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageFolders } from '../lib/workspace.mjs';
import { root } from '../lib/paths.mjs';

/** @typedef {Record<string, string>} Conditions */

/**
 * @param {Record<string, unknown>} manifest
 * @returns {Record<string, unknown>} the same with `main` and `browser` right before `exports`
 */
export function withOldFields(manifest) {
  const entries = /** @type {[string, string | Conditions][]} */ (Object.entries(manifest.exports ?? {}));
  /** @type {Conditions} */
  const browser = {};
  let main;
  for (const [entry, target] of entries) {
    if (typeof target === 'string') continue;
    const forBrowsers = target.browser ?? target.default;
    if (entry !== '.') {
      if (forBrowsers !== undefined) browser[entry] = forBrowsers;
      continue;
    }
    main = target.node ?? target.default;
    if (main !== undefined && forBrowsers !== undefined && main !== forBrowsers) browser[main] = forBrowsers;
  }
  const { main: _, browser: __, ...rest } = manifest;
  return Object.fromEntries(
    Object.entries(rest).flatMap(([key, value]) =>
      key === 'exports'
        ? [
            ...(main === undefined ? [] : [['main', main]]),
            ...(Object.keys(browser).length === 0 ? [] : [['browser', browser]]),
            [key, value],
          ]
        : [[key, value]],
    ),
  );
}

/** @returns {(() => import('../generate.mjs').Generated)[]} */
export const manifests = packageFolders().map((folder) => () => {
  const path = `${folder}/package.json`;
  const manifest = JSON.parse(readFileSync(join(root, path), 'utf8'));
  return { path, text: `${JSON.stringify(withOldFields(manifest), null, 2)}\n` };
});
