import { afterAll, beforeAll } from 'vitest';
import { startRedis } from '../helpers/redisServer';
import type { RedisServer } from '../helpers/redisServer';
import { blocks, runBlocks, wantsRedis } from './blocks';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

runBlocks(blocks.filter(wantsRedis), 'redis', { 'redis://localhost:6379': () => server.url });
