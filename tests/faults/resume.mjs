// Kills training runs at random moments and resumes them: node tests/faults/resume.mjs --kills 100 --seed 1
//
// Each has to go on from its last checkpoint, at most one interval behind, and to end with the adapter, the metrics and
// the checkpoints of an undisturbed run, bit for bit. Exit code 1 with findings. Build first: npm run build.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { call, disturbed, learned } from './killedRun.mjs';
import { randomOf } from './plan.mjs';

const { values: given } = parseArgs({
  options: { kills: { type: 'string', default: '20' }, seed: { type: 'string', default: '1' } },
});
const random = randomOf(Number(given.seed));
const folder = mkdtempSync(join(tmpdir(), 'lowrank-resume-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const begun = Date.now();
await call(join(folder, 'whole'));
const duration = Date.now() - begun;
const whole = learned(join(folder, 'whole'));
let [killed, findings] = [0, 0];
for (let run = 0; killed < Number(given.kills); run++) {
  const output = join(folder, String(run));
  const kills = Array.from({ length: 1 + Math.floor(random() * 4) }, () =>
    random() < 0.3
      ? { phase: /** @type {const} */ ('start'), after: random() * duration }
      : { phase: /** @type {const} */ ('steps'), after: random() * 600 },
  );
  const wrong = await disturbed(output, kills);
  const ended = learned(output);
  const differing = Object.keys(whole).filter((key) => !isDeepStrictEqual(ended[key], whole[key]));
  if (differing.length > 0) wrong.push(`it ends otherwise than an undisturbed run in ${differing.join(', ')}`);
  killed += kills.length;
  findings += wrong.length;
  for (const text of wrong) console.log(`run ${run}, ${JSON.stringify(kills)}: ${text}`);
  rmSync(output, { recursive: true });
}
console.log(`${killed} kills, ${findings} findings, seed ${given.seed}`);
process.exitCode = findings > 0 ? 1 : 0;
