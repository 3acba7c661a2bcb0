import { LowrankError } from '@lowrank/errors';
import { Redis } from 'ioredis';
import type { RedisOptions } from 'ioredis';
import { redisError } from './redisErrors.js';

/** The oldest server that BullMQ is at home on. */
const oldest = [6, 2];

/** A connection to one Redis, and what became of it. */
export interface RedisHome {
  readonly client: Redis;
  /** Another connection to the same server, with the same end; blocking commands want one each. */
  open(): Redis;
  /** Rejects when the connection was lost for longer than `giveUp`; never resolves. */
  readonly gone: Promise<never>;
  close(): void;
}

export interface OpenRedisOptions {
  readonly url: string;
  /** Milliseconds that a lost connection is tried again for. */
  readonly giveUp: number;
  /** Called when the connection is lost, and when it is back. */
  readonly onConnection?: (state: 'lost' | 'back') => void;
}

/**
 * Connects once, and looks whether this Redis will do: reachable, let in, new enough, a primary, and never evicting
 * keys.
 *
 * After that a lost connection is tried again for `giveUp` milliseconds.
 *
 * @throws {LowrankError} queue.url, queue.unreachable, queue.auth, queue.tls, queue.redisVersion, queue.eviction,
 * queue.readOnly
 */
export async function openRedis({ url, giveUp, onConnection }: OpenRedisOptions): Promise<RedisHome> {
  const shown = checkUrl(url);
  await examine(url, shown);
  let lostSince: number | undefined;
  let closed = false;
  let give: (error: LowrankError) => void = () => undefined;
  const gone = new Promise<never>((_resolve, reject) => (give = reject));
  // A caller that does not wait for it learns of it from the command that failed.
  gone.catch(() => undefined);
  const all: Redis[] = [];
  const open = (): Redis => {
    const client = new Redis(url, {
      maxRetriesPerRequest: null,
      retryStrategy(times) {
        lostSince ??= Date.now();
        if (!closed && Date.now() - lostSince <= giveUp) return Math.min(200 * times, 2000);
        if (!closed)
          give(
            new LowrankError({
              code: 'queue.lost',
              what: `Redis at ${shown}`,
              expected: 'a connection',
              got: `none for ${Math.round(giveUp / 1000)} s`,
              remedy: 'Start it again, then the study and its workers: they continue where they were.',
            }),
          );
        return null;
      },
    });
    client.on('error', () => undefined);
    all.push(client);
    return client;
  };
  const client = open();
  client.on('close', () => !closed && lostSince === undefined && onConnection?.('lost'));
  client.on('ready', () => {
    if (lostSince !== undefined) onConnection?.('back');
    lostSince = undefined;
  });
  const close = (): void => {
    closed = true;
    for (const each of all) each.disconnect();
  };
  return { client, open, gone, close };
}

/** The URL without its password, for messages. */
export function checkUrl(url: string): string {
  const wanted =
    'redis://host:port or rediss://host:port, with user:password@ before the host and /database after it ' +
    'where they are needed';
  const bad = (got: string, cause?: unknown): LowrankError =>
    new LowrankError({ code: 'queue.url', what: 'the URL of the queue', expected: wanted, got, cause });
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch (cause) {
    throw bad(`${JSON.stringify(url.replace(/\/\/.*@/, '//…@'))}`, cause);
  }
  if (parsed.protocol !== 'redis:' && parsed.protocol !== 'rediss:') throw bad(`${parsed.protocol}//…`);
  if (parsed.hostname === '') throw bad(`${parsed.protocol}// without a host`);
  if (!/^\/?\d*$/.test(parsed.pathname)) throw bad(`the database ${JSON.stringify(parsed.pathname.slice(1))}`);
  return `${parsed.protocol}//${parsed.host}${parsed.pathname.length > 1 ? parsed.pathname : ''}`;
}

/** One connection, without retries, so that an error is reported at once. */
async function examine(url: string, shown: string): Promise<void> {
  const options: RedisOptions = {
    lazyConnect: true,
    connectTimeout: 10_000,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    retryStrategy: () => null,
  };
  const client = new Redis(url, options);
  let heard: unknown;
  client.on('error', (error: unknown) => (heard ??= error));
  try {
    await client.connect();
    checkServer(await client.info(), shown);
  } catch (error) {
    throw redisError(heard ?? error, shown);
  } finally {
    client.disconnect();
  }
}

/** What INFO says: version, eviction, role. Exported for its test. */
export function checkServer(info: string, shown: string): void {
  const fields = new Map(
    info.split(/\r?\n/).map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
  const what = `Redis at ${shown}`;
  // Valkey and its like keep a redis_version that states what they are compatible with.
  const version = fields.get('redis_version') ?? '0';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < (oldest[0] ?? 0) || (major === oldest[0] && minor < (oldest[1] ?? 0))) {
    throw new LowrankError({
      code: 'queue.redisVersion',
      what,
      expected: `version ${oldest.join('.')} or later`,
      got: version,
      remedy: 'Install a newer Redis, or Valkey.',
    });
  }
  const policy = fields.get('maxmemory_policy') ?? 'noeviction';
  if (policy !== 'noeviction') {
    throw new LowrankError({
      code: 'queue.eviction',
      what,
      expected: 'maxmemory-policy noeviction',
      got: policy,
      remedy:
        'A queue whose keys may be evicted loses runs. Set it: redis-cli CONFIG SET maxmemory-policy ' +
        'noeviction (and in redis.conf).',
    });
  }
  if (fields.get('role') === 'slave') {
    const [host, port] = [fields.get('master_host'), fields.get('master_port')];
    throw new LowrankError({
      code: 'queue.readOnly',
      what,
      expected: 'a primary',
      got: 'a replica, which takes no writes',
      remedy: host === undefined ? 'Name its primary.' : `Name its primary, ${host}:${port}.`,
    });
  }
}
