// The changelog: what has been released, from the package's CHANGELOG.md, and what is to be, from the changesets.
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';

/** Writes `docs/changelog.md`. */
export function writeChangelog() {
  const path = join(root, 'packages/lowrank/CHANGELOG.md');
  const released = existsSync(path) ? readFileSync(path, 'utf8').replace(/^# .*\n+/, '') : '';
  const page = ['---', 'editLink: false', 'lastUpdated: false', '---', '', '# Changelog', '', pending(), released];
  writeFileSync(join(root, 'docs/changelog.md'), page.join('\n'));
}

/** What the next release brings. */
function pending() {
  const texts = readdirSync(join(root, '.changeset'))
    .filter((name) => name.endsWith('.md') && name !== 'README.md')
    .sort()
    .map((name) =>
      readFileSync(join(root, '.changeset', name), 'utf8')
        .replace(/^---[\s\S]*?---\s*/, '')
        .replaceAll(/\]\((?:\.\/)?docs\//g, '](./')
        .trim(),
    );
  const items = texts.map((text) =>
    (text.startsWith('- ') ? text : `- ${text.replaceAll('\n', '\n  ')}`).replaceAll(/[ \t]+$/gm, ''),
  );
  return items.length === 0 ? '' : `## In the next release\n\n${items.join('\n')}\n`;
}
