import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findRedisServer, wantsRedis } from './redisServer.mjs';

test('Redis is REDIS_SERVER_PATH, else redis-server or valkey-server on the PATH', () => {
  const folder = mkdtempSync(join(tmpdir(), 'redis-'));
  try {
    expect(findRedisServer({ PATH: folder })).toBeUndefined();
    writeFileSync(join(folder, 'valkey-server'), '');
    expect(findRedisServer({ PATH: `/nonexistent:${folder}` })).toBe(join(folder, 'valkey-server'));
    writeFileSync(join(folder, 'redis-server'), '');
    expect(findRedisServer({ PATH: folder })).toBe(join(folder, 'redis-server'));
    expect(findRedisServer({ PATH: folder, REDIS_SERVER_PATH: process.execPath })).toBe(process.execPath);
    expect(() => findRedisServer({ REDIS_SERVER_PATH: '/no/such/redis' })).toThrow(
      'REDIS_SERVER_PATH=/no/such/redis: no such file',
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('without Redis its tests are left out, but not in CI', () => {
  expect(wantsRedis({ PATH: '/nonexistent' })).toBe(false);
  expect(wantsRedis({ PATH: '/nonexistent', CI: '1' })).toBe(true);
});
