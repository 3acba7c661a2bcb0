#!/usr/bin/env node
import { workerData } from 'node:worker_threads';
import { isWork } from './cli/messages.js';

// The same file on both threads: the main one listens to the system, another one works (see cli/mainThread.ts).
if (isWork(workerData)) {
  const { work } = await import('./cli/workThread.js');
  await work(workerData);
} else {
  const { runInThread } = await import('./cli/mainThread.js');
  process.exitCode = await runInThread(new URL(import.meta.url), process.argv.slice(2));
}
