import { expect, test } from 'vitest';
import { checkServer, checkUrl } from './redis.js';

test('a URL is shown without its password', () => {
  expect(checkUrl('redis://user:secret@host:6380/3')).toBe('redis://host:6380/3');
  expect(checkUrl('rediss://host')).toBe('rediss://host');
  expect(() => checkUrl('redis://user:secret@ho st')).toThrow(/got "redis:\/\/…@ho st"/);
});

test.each(['http://host', 'host:6379', 'redis://', 'redis://host/runs', ''])('%j is no URL of a Redis', (url) => {
  expect(() => checkUrl(url)).toThrow(expect.objectContaining({ code: 'queue.url' }) as Error);
});

const info = (fields: object): string =>
  Object.entries({ redis_version: '7.0.15', maxmemory_policy: 'noeviction', role: 'master', ...fields })
    .map(([key, value]) => `${key}:${value}\r\n`)
    .join('');

test('old servers, those that evict and replicas are refused', () => {
  const check = (fields: object) => () => checkServer(info(fields), 'redis://host');
  expect(check({})).not.toThrow();
  expect(check({ redis_version: '6.2.0' })).not.toThrow();
  expect(check({ redis_version: '6.0.16' })).toThrow(/expected version 6.2 or later, got 6.0.16/);
  expect(check({ redis_version: '10.0.0' })).not.toThrow();
  expect(check({ maxmemory_policy: 'volatile-lru' })).toThrow(/noeviction, got volatile-lru/);
  expect(check({ role: 'slave', master_host: 'first', master_port: '6379' })).toThrow(/first:6379/);
});
