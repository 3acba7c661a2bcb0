import { LowrankError } from '@lowrank/errors';
import { expect, test } from 'vitest';
import { redisError } from './redisErrors.js';

const failure = (message: string, code?: string): Error =>
  Object.assign(new Error(message), code === undefined ? {} : { code });

test.each([
  ['queue.auth', failure('NOAUTH Authentication required.')],
  ['queue.auth', failure('WRONGPASS invalid username-password pair or user is disabled.')],
  ['queue.auth', failure("NOPERM User worker has no permissions to run the 'info' command")],
  ['queue.tls', failure('self-signed certificate', 'DEPTH_ZERO_SELF_SIGNED_CERT')],
  ['queue.tls', failure('write EPROTO 00:error:0A00010B:SSL routines::wrong version number', 'EPROTO')],
  ['queue.unreachable', failure('connect ECONNREFUSED 127.0.0.1:6379', 'ECONNREFUSED')],
  ['queue.unreachable', failure('getaddrinfo ENOTFOUND nowhere', 'ENOTFOUND')],
  ['queue.unreachable', failure('connect ETIMEDOUT', 'ETIMEDOUT')],
])('%s: %s', (code, error) => {
  const told = redisError(error, 'redis://host:6379');
  expect(told).toMatchObject({ code, what: 'Redis at redis://host:6379', got: error.message, cause: error });
  expect(told.remedy).toMatch(/\.$/);
});

test('what is told already stays as it is', () => {
  const error = new LowrankError({ code: 'queue.eviction', what: 'x' });
  expect(redisError(error, 'redis://host')).toBe(error);
});
