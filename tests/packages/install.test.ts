import { spawnSync } from 'node:child_process';
import { cpSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { root } from '../../scripts/lib/paths.mjs';

// What `npm install lowrank` brings, and what works without Dawn: `npm install lowrank --omit=optional`.
const project = inject('project');
const home = join(project, 'node_modules');

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const manifestOf = (name: string): Manifest =>
  JSON.parse(readFileSync(join(home, name, 'package.json'), 'utf8')) as Manifest;

/** The packages that one needs, itself among them. */
function closureOf(name: string, optional: boolean): string[] {
  const found = new Set([name]);
  for (const each of found) {
    const { dependencies, optionalDependencies } = manifestOf(each);
    const optionals = Object.keys(optionalDependencies ?? {});
    for (const needed of Object.keys(dependencies ?? {})) if (!optionals.includes(needed)) found.add(needed);
    if (optional) for (const needed of optionals) found.add(needed);
  }
  return [...found];
}

const megabytes = (names: readonly string[]): number =>
  names
    .flatMap((name) => readdirSync(join(home, name), { recursive: true }).map((file) => join(home, name, String(file))))
    .reduce((sum, file) => sum + lstatSync(file).size, 0) / 1e6;

test('at most 150 MB with Dawn, and 25 MB without', () => {
  expect(closureOf('lowrank', true)).toContain('webgpu');
  expect(megabytes(closureOf('lowrank', true))).toBeLessThan(150);
  expect(closureOf('lowrank', false)).not.toContain('webgpu');
  expect(megabytes(closureOf('lowrank', false))).toBeLessThan(25);
});

describe('without Dawn', () => {
  let bare: string;
  const lowrank = (...args: string[]) =>
    spawnSync(process.execPath, [join(bare, 'node_modules/lowrank/dist/cli.js'), ...args], {
      encoding: 'utf8',
      cwd: bare,
    });
  const training = [
    'train',
    '--model',
    join(root, 'parity/golden/llama/tied'),
    '--data',
    join(root, 'parity/golden/llama/train/rows.jsonl'),
    '--steps',
    '2',
  ];

  beforeAll(() => {
    // Beside the tools and not within the project, whose node_modules would be found.
    bare = mkdtempSync(join(project, '../bare-'));
    for (const name of closureOf('lowrank', false))
      cpSync(join(home, name), join(bare, 'node_modules', name), { recursive: true });
  });

  afterAll(() => rmSync(bare, { recursive: true, force: true }));

  test('doctor says what is missing, and that the CPU trains', () => {
    const { status, stdout } = lowrank('doctor');
    expect(status).toBe(0);
    expect(stdout).toContain('npm install webgpu');
    expect(stdout).toMatch(/cpu/i);
  });

  test('auto trains on the CPU; webgpu is an error with a remedy', () => {
    const auto = lowrank(...training, '--output', join(bare, 'auto'));
    expect(auto).toMatchObject({ status: 0 });
    const asked = lowrank(...training, '--output', join(bare, 'asked'), '--device', 'webgpu');
    expect(asked.status).not.toBe(0);
    expect(asked.stderr).toContain('npm install webgpu');
    expect(asked.stderr).not.toMatch(/\bat .*:\d+:\d+/);
  });
});
