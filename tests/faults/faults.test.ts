import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { atOperations, randomKills, randomOf } from './plan.mjs';
import type { Fault } from './trials.mjs';
import { Trials } from './trials.mjs';

// The short form: `node tests/faults/run.mjs` does all of it (docs/reliability.md).
const work = mkdtempSync(join(tmpdir(), 'lowrank-faults-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

async function trialsOf(command: string, name = command): Promise<Trials> {
  const folder = join(work, name);
  mkdirSync(folder);
  return Trials.of(command, folder);
}

/** Some faults of each kind, spread over the run, other ones with each seed. */
function some(trials: Trials, seed: number): Fault[] {
  const random = randomOf(seed);
  const spread = (all: readonly Fault[], count: number): Fault[] =>
    Array.from({ length: count }, (_, at) => all[Math.floor(((at + random()) / count) * all.length)] ?? { label: '' });
  return [
    ...spread(atOperations(trials, 'kill'), 3),
    ...spread(atOperations(trials, 'full'), 1),
    ...spread(atOperations(trials, 'error'), 1),
    ...randomKills(trials, 1, random),
  ];
}

test.each(['train', 'merge'])(
  '%s over an older result, killed or refused by the disk: the old one, or the new one',
  async (command) => {
    const trials = await trialsOf(command);
    expect(trials.versions.new.operations.length).toBeGreaterThan(20);
    const outcomes = some(trials, 1).map(async (fault) => {
      const { findings, ended } = await trials.run(fault);
      expect({ fault: fault.label, findings }).toEqual({ fault: fault.label, findings: [] });
      if (fault.operation === 'kill') expect(ended.signal).toBe('SIGKILL');
    });
    await Promise.all(outcomes);
  },
);

test('the judge sees a mixture, what is left behind, and a lost result', async () => {
  const trials = await trialsOf('train', 'judged');
  const config = 'adapter_config.json';
  const mixed = await trials.run({
    label: 'the new configuration with the old weights',
    spoil: (output, results) => copyFileSync(join(results.new, config), join(output, config)),
  });
  expect(mixed.plain).toBe('mixture');
  expect(mixed.findings.join('\n')).toMatch(/parts of two savings[^]*a loss of .*, neither/);
  const left = await trials.run({
    label: 'a file that nobody removes',
    spoil: (output) => writeFileSync(join(output, '.half.tmp'), ''),
  });
  expect(left.findings.join('\n')).toMatch(/the next run leaves \.half\.tmp/);
  const lost = await trials.run({ label: 'no configuration', spoil: (output) => rmSync(join(output, config)) });
  expect(lost).toMatchObject({ plain: 'refused', own: 'refused' });
  expect(lost.findings.join('\n')).toMatch(/exit code 0, and the folder is refused/);
});
