// llms-full.txt: the text of every page that people write, one after another, for readers with a large context.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';
import { pages } from '../.vitepress/navigation.mjs';

const docs = join(root, 'docs');
/** Made for looking up single things, and as long as all others together. */
const left = ['/reference/', '/playground/', '/changelog'];

/** @param {string} outDir of the built site */
export function writeFullText(outDir) {
  const texts = pages
    .filter(({ link }) => !left.includes(link))
    .map(({ link }) => `<!-- ${link} -->\n\n${textOf(link)}`);
  const head = readFileSync(join(docs, 'public/llms.txt'), 'utf8').split('\n## Pages')[0];
  writeFileSync(join(outDir, 'llms-full.txt'), `${head}\n${texts.join('\n\n')}`);
}

/** A page's Markdown, with the code that it includes. @param {string} link */
function textOf(link) {
  const path = join(docs, link.endsWith('/') ? `${link}index.md` : `${link}.md`);
  if (!existsSync(path)) throw new Error(`${link} is in the navigation and has no page`);
  const text = readFileSync(path, 'utf8').replace(/^---\n[\s\S]*?\n---\n/, '');
  return text.replaceAll(
    /^<<< ([^#\s{]+)(?:#(\w+))?.*$/gm,
    (_, file, region) => `\`\`\`\n${regionOf(readFileSync(join(path, '..', file), 'utf8'), region)}\n\`\`\``,
  );
}

/** @param {string} code @param {string | undefined} region */
function regionOf(code, region) {
  if (region === undefined) return code.trim();
  const [, part = ''] = new RegExp(`#region ${region}\\n([\\s\\S]*?)^.*#endregion ${region}`, 'm').exec(code) ?? [];
  return part.trim();
}
