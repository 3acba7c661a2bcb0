// The search of the built site, as a page does it.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import MiniSearch from 'minisearch';

/**
 * Loads the index that the site's search loads, with the options of VitePress's search box.
 *
 * @param {string} dist the built site
 * @returns {Promise<(words: string) => string[]>} the addresses of what is found, best first
 */
export async function openSearch(dist) {
  const chunks = join(dist, 'assets/chunks');
  const name = readdirSync(chunks).find((each) => each.startsWith('@localSearchIndexroot'));
  if (name === undefined) throw new Error(`${chunks} has no index of the search`);
  const { default: json } = await import(pathToFileURL(join(chunks, name)).href);
  const index = MiniSearch.loadJSON(json, { fields: ['title', 'titles', 'text'], storeFields: ['title', 'titles'] });
  const options = { fuzzy: 0.2, prefix: true, boost: { title: 4, text: 2, titles: 1 } };
  return (words) => index.search(words, options).map(({ id }) => String(id));
}
