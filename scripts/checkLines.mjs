// `node scripts/checkLines.mjs`: fails for every line over 120 columns of code and prose.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from './lib/paths.mjs';

export const widest = 120;

const checked = /\.(ts|mts|js|mjs|vue|md|py|html|css|sh|ya?ml)$|^\.ci\/run$/;
// What a program wrote: the lock file, kernels compiled to text, golden values, releases' notes.
const data = [/^pnpm-lock\.yaml$/, /^packages\/cpu\/src\/generated\//, /^parity\/golden\//, /(^|\/)CHANGELOG\.md$/];

/**
 * The numbers, from 1, of lines that are too long. A row of a Markdown table cannot be broken, and neither can a URL: a
 * line is judged without the part of a URL that would not fit beside nothing else.
 *
 * @param {string} path from the root
 * @param {string} text
 * @returns {number[]}
 */
export function longLines(path, text) {
  const isTableRow = path.endsWith('.md') ? (line) => /^\s*\|/.test(line) : () => false;
  return text.split('\n').flatMap((line, at) => (isTooLong(line) && !isTableRow(line) ? [at + 1] : []));
}

/** @param {string} line */
function isTooLong(line) {
  return columns(line) > widest && columns(line.replaceAll(/https?:\/\/[^\s)>'"`]+/g, '')) > widest;
}

/** @param {string} line */
function columns(line) {
  return Array.from(line).length;
}

/** @param {string} path from the root */
export function isChecked(path) {
  return checked.test(path) && !data.some((pattern) => pattern.test(path));
}

function main() {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 2 ** 20,
  });
  const files = listed.split('\0').filter((path) => isChecked(path) && existsSync(join(root, path)));
  const found = files.flatMap((path) =>
    longLines(path, readFileSync(join(root, path), 'utf8')).map((line) => `${path}:${line}`),
  );
  for (const place of found) console.error(`${place}: longer than ${widest} columns`);
  if (found.length === 0) console.log(`lines: ${files.length} files, none wider than ${widest} columns`);
  process.exitCode = found.length === 0 ? 0 : 1;
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) main();
