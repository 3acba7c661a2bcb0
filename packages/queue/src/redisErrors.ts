import { isLowrankError, LowrankError } from '@lowrank/errors';

/**
 * What a failure to connect means, with what to do about it. Anything unknown is reported as unreachable, with its own
 * words.
 */
export function redisError(error: unknown, shown: string): LowrankError {
  if (isLowrankError(error)) return error;
  const text = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const what = `Redis at ${shown}`;
  if (/NOAUTH|WRONGPASS|NOPERM|invalid (username-)?password|without any password|ERR AUTH/i.test(text)) {
    return new LowrankError({
      code: 'queue.auth',
      what,
      expected: 'to be let in',
      got: text,
      remedy:
        'Write user and password into the URL: redis://user:password@host:port (no user where only a ' +
        'password is set: redis://:password@host:port).',
      cause: error,
    });
  }
  if (/CERT|SSL|TLS|EPROTO|self.signed|wrong version number/i.test(`${code} ${text}`)) {
    return new LowrankError({
      code: 'queue.tls',
      what,
      expected: 'a TLS connection that can be trusted',
      got: text || code,
      remedy:
        'rediss:// is for servers with TLS and redis:// for those without; a certificate of your own is ' +
        'trusted with NODE_EXTRA_CA_CERTS.',
      cause: error,
    });
  }
  return new LowrankError({
    code: 'queue.unreachable',
    what,
    expected: 'a server that answers',
    got: text || code || 'no answer',
    remedy:
      'Start it (redis-server, or docker run -p 6379:6379 redis), and look at host, port and firewall, and ' +
      'whether it wants TLS (rediss://) or does not.',
    cause: error,
  });
}
