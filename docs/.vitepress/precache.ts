import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Pages that work without a network. */
const pages = ['playground/index', 'playground/words', 'playground/digits'];

/**
 * Writes `precache.json`: what the service worker copies so that the playground works without a network. Scripts of
 * other pages and the index of the search are none of it.
 */
export function writePrecache(outDir: string): void {
  const files = readdirSync(outDir, { recursive: true, encoding: 'utf8' }).map((name) => name.replaceAll('\\', '/'));
  const ofOtherPages = (name: string): boolean =>
    /\.md\.[\w-]+(\.lean)?\.js$/.test(name) && !name.startsWith('assets/playground_');
  const assets = files.filter(
    (name) =>
      /^assets\/.+\.\w+$/.test(name) &&
      !ofOtherPages(name) &&
      !/[lL]ocalSearch|-(cyrillic|greek|vietnamese)/.test(name),
  );
  // The mark and the icons of every page lie beside the documents, under names without a hash.
  const shared = files.filter((name) => /^[^/]+\.(css|svg)$/.test(name));
  const documents = pages.filter((page) => files.includes(`${page}.html`)).map((page) => page.replace(/index$/, ''));
  const version = createHash('sha256').update(
    [...assets, ...['playground/index.html', ...shared].map((name) => readFileSync(join(outDir, name)))].join('\n'),
  );
  const content = { version: version.digest('hex').slice(0, 16), files: [...documents, ...shared, ...assets] };
  writeFileSync(join(outDir, 'precache.json'), JSON.stringify(content));
}
