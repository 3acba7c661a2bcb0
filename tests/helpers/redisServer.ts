import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { findRedisServer, howToGetRedis } from '../../scripts/lib/redisServer.mjs';

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** The names of all that it holds. */
  keys(): Promise<string[]>;
  stop(): Promise<void>;
}

/** A Redis of one's own on a free port of 127.0.0.1, which keeps nothing on disk. `flags`: more of redis-server's. */
export async function startRedis(flags: readonly string[] = [], port?: number): Promise<RedisServer> {
  const server = findRedisServer();
  if (server === undefined) throw new Error(`no Redis for these tests: ${howToGetRedis}`);
  const taken = port ?? (await freePort());
  const child = spawn(
    server,
    ['--port', String(taken), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', tmpdir(), ...flags],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = once(child, 'exit');
  let said = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (/ready to accept connections/i.test(said)) resolve();
    });
    void ended.then(() => reject(new Error(`${server} ended\n${said}`)));
  });
  return {
    url: `redis://127.0.0.1:${taken}`,
    port: taken,
    async keys() {
      const socket = connect(taken, '127.0.0.1');
      // The answer to QUIT, after all others, is its end.
      socket.write('KEYS *\r\nQUIT\r\n');
      let answer = '';
      for await (const chunk of socket) answer += String(chunk);
      return answer.split('\r\n').filter((line) => !/^([*$+].*)?$/.test(line));
    },
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
