import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { call, disturbed, learned } from './faults/killedRun.mjs';

// The built command line as a process. More kills: node tests/faults/resume.mjs --kills 100
const work = mkdtempSync(join(tmpdir(), 'lowrank-killed-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

test('killed twice while it trains, a run goes on and ends as if nothing had happened', async () => {
  const [whole, output] = [join(work, 'whole'), join(work, 'killed')];
  expect(await call(whole)).toMatchObject({ code: 0, lastStep: 24 });
  expect(
    await disturbed(output, [
      { phase: 'steps', after: 30 },
      { phase: 'steps', after: 60 },
    ]),
  ).toEqual([]);
  expect(learned(output)).toEqual(learned(whole));
});
