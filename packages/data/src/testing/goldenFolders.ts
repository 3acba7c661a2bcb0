import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import { parseJsonWithFloats } from '../jsonFloats.js';

/** For tests: folders as parity/textRows.py makes them. */
export interface GoldenFolder {
  /** The folder of golden/tokenizers whose tokenizer.json it has. */
  readonly base: string;
  /** Keys of it that are replaced. */
  readonly json?: object;
  readonly config: object;
  readonly template?: string;
  readonly files?: Record<string, unknown>;
}

const parity = fileURLToPath(new URL('../../../../parity/golden/', import.meta.url));
const home = mkdtempSync(join(tmpdir(), 'lowrank-folders-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** A file of golden/text. */
export function readGoldenText<T>(name: string): T {
  return parseJsonWithFloats(readFileSync(`${parity}text/${name}.json`, 'utf8')) as T;
}

/** Writes the folder, which lasts until the tests end, and returns its path. */
export function writeGoldenFolder(name: string, { base, json, config, template, files = {} }: GoldenFolder): string {
  const source = JSON.parse(readFileSync(`${parity}tokenizers/${base}/tokenizer.json`, 'utf8')) as object;
  const contents: Record<string, unknown> = {
    'tokenizer.json': { ...source, ...json },
    'tokenizer_config.json': config,
    ...(template === undefined ? {} : { 'chat_template.jinja': template }),
    ...files,
  };
  for (const [file, content] of Object.entries(contents)) {
    const path = join(home, name, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  }
  return join(home, name);
}
