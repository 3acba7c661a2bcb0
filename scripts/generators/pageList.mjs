// The list of pages in docs/public/llms.txt, from the site's navigation.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pages } from '../../docs/.vitepress/navigation.mjs';
import { root } from '../lib/paths.mjs';

const path = 'docs/public/llms.txt';

export function pageList() {
  const text = readFileSync(join(root, path), 'utf8');
  const lines = pages.map(({ text: name, link, about }) => `- [${name}](${link}): ${about}`);
  const list = `<!-- generated: pages -->\n\n${lines.join('\n')}\n\n<!-- end -->`;
  return { path, text: text.replace(/<!-- generated: pages -->[\s\S]*?<!-- end -->/, () => list) };
}
