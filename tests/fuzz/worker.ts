import { closeSync, openSync, writeSync } from 'node:fs';
import { isLowrankError } from '@lowrank/errors';
import { mutate } from './mutate.js';
import { FuzzRandom } from './random.js';
import type { Files, Target } from './targets.js';
import { targets } from './targets.js';

/** What one file may cost: of processor time, and of memory beyond what the process had. */
const bounds = { milliseconds: 2000, bytes: 300 * 2 ** 20 };

/** Something that is neither a LowrankError nor success, or is beyond the bounds. */
export interface Finding {
  readonly index: number;
  readonly target: string;
  readonly what: string;
}

const [seed = 1, first = 0, end = 1, only = -1] = process.argv.slice(2, 6).map(Number);
const progressFile = openSync(process.argv[6] ?? '/dev/null', 'w');
const counter = Buffer.alloc(8);

/** The parent sees from outside which input a worker is at, however long that takes. */
function at(index: number): void {
  counter.writeDoubleLE(index);
  writeSync(progressFile, counter, 0, 8, 0);
}

function inputOf(target: Target, random: FuzzRandom): Files {
  const names = target.changed ?? Object.keys(target.files);
  const changed = random.pick(names);
  return Object.fromEntries(
    Object.entries(target.files).map(([name, bytes]) => [
      name,
      name === changed || random.once(12) ? mutate(name, bytes, random) : bytes,
    ]),
  );
}

const peak = (): number => process.resourceUsage().maxRSS * 1024;

async function run(index: number): Promise<Finding | undefined> {
  const random = new FuzzRandom(seed, index);
  const target = random.pick(random.pick(targets));
  const files = inputOf(target, random);
  const [memory, highest] = [process.memoryUsage.rss(), peak()];
  const begin = process.cpuUsage();
  const finding = (what: string): Finding => ({ index, target: target.name, what });
  let outcome: Finding | undefined;
  try {
    await target.read(files);
    counts.read++;
  } catch (error) {
    if (!isLowrankError(error))
      outcome = finding(error instanceof Error ? (error.stack ?? error.message) : String(error));
    else if (error.message.length > 20_000) outcome = finding(`a message of ${error.message.length} characters`);
    else if (/\p{Cc}/u.test(error.message.replaceAll(/[\n\t]/g, '')))
      outcome = finding('control characters in a message');
    counts.refused++;
  }
  const { user, system } = process.cpuUsage(begin);
  const milliseconds = (user + system) / 1000;
  if (milliseconds > slowest.milliseconds) Object.assign(slowest, { milliseconds, index, target: target.name });
  const grown = peak() > highest ? peak() - memory : 0;
  if (outcome === undefined && milliseconds > bounds.milliseconds) outcome = finding(`${milliseconds} ms`);
  if (outcome === undefined && grown > bounds.bytes) outcome = finding(`${Math.round(grown / 2 ** 20)} MiB`);
  return outcome;
}

const counts = { read: 0, refused: 0 };
const slowest = { milliseconds: 0, index: -1, target: '' };

if (only >= 0) {
  const random = new FuzzRandom(seed, only);
  const target = random.pick(random.pick(targets));
  process.send?.({
    files: Object.entries(inputOf(target, random)).map(([name, bytes]) => [
      name,
      Buffer.from(bytes).toString('base64'),
    ]),
  });
}
for (let index = only >= 0 ? only : first; index < (only >= 0 ? only + 1 : end); index++) {
  at(index);
  const found = await run(index);
  if (found !== undefined) process.send?.({ found });
}
closeSync(progressFile);
process.send?.({ counts, slowest }, () => process.disconnect());
