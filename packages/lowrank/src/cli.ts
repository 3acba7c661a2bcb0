#!/usr/bin/env node
import { main } from './cli/main.js';
import { inputLines } from './cli/inputLines.js';

// A reader that goes away, as `head` does, is no reason to lose a run.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

process.exitCode = await main(process.argv.slice(2), {
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  isTTY: process.stderr.isTTY === true,
  lines: inputLines,
  onInterrupt(callback) {
    // The first Ctrl-C is for the command to end well; the second ends the process, as it would without us.
    process.once('SIGINT', callback);
    return () => void process.removeListener('SIGINT', callback);
  },
});
