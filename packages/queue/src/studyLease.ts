import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { LowrankError } from '@lowrank/errors';
import type { Redis } from 'ioredis';
import { keyPrefix } from './settings.js';

const lives = 15_000;
const renewScript =
  `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end ` + 'return 0';
const releaseScript = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

/**
 * One distributor for a study at a time: two would each take a half of its outcomes. The lease of a distributor that
 * was killed runs out within 15 s.
 *
 * @throws {LowrankError} queue.studyBusy
 */
export async function leaseStudy(
  client: Redis,
  study: string,
  signal?: AbortSignal,
): Promise<{ release(): Promise<void> }> {
  const key = `${keyPrefix}:study:${encodeURIComponent(study)}`;
  const owner = `${hostname()}:${process.pid}:${randomUUID()}`;
  const until = Date.now() + lives + 1000;
  while ((await client.set(key, owner, 'PX', lives, 'NX')) === null) {
    if (Date.now() > until || signal?.aborted === true) {
      const other = (await client.get(key))?.split(':').slice(0, 2).join(', process ') ?? 'another';
      throw new LowrankError({
        code: 'queue.studyBusy',
        what: `the study ${study}`,
        expected: 'one that no other command hands out',
        got: `one that is being handed out by ${other}`,
        remedy: 'End that one first, or give this study another output folder.',
      });
    }
    await delay(500);
  }
  const renewal = setInterval(
    () => void client.eval(renewScript, 1, key, owner, lives).catch(() => undefined),
    lives / 3,
  );
  renewal.unref();
  return {
    async release() {
      clearInterval(renewal);
      await client.eval(releaseScript, 1, key, owner);
    },
  };
}
