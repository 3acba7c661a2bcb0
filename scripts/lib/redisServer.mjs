import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const names = ['redis-server', 'valkey-server'];

/** What to tell where there is none. */
export const howToGetRedis =
  'install redis-server or valkey-server (apt-get install redis-server, brew install redis), or set REDIS_SERVER_PATH';

/**
 * Finds the Redis that tests of the queue start: `REDIS_SERVER_PATH`, then redis-server or valkey-server on the PATH.
 *
 * @param {Record<string, string | undefined>} [env]
 * @returns {string | undefined}
 */
export function findRedisServer(env = process.env) {
  if (env.REDIS_SERVER_PATH) {
    if (!existsSync(env.REDIS_SERVER_PATH)) throw new Error(`REDIS_SERVER_PATH=${env.REDIS_SERVER_PATH}: no such file`);
    return env.REDIS_SERVER_PATH;
  }
  const folders = (env.PATH ?? '').split(delimiter).filter(Boolean);
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
}

/**
 * Whether the tests that need Redis are part of a run: where there is one, and in CI, where they fail without.
 *
 * @param {Record<string, string | undefined>} [env]
 */
export const wantsRedis = (env = process.env) => findRedisServer(env) !== undefined || Boolean(env.CI);
