#!/usr/bin/env node
import { exitCodes, main } from './cli/main.js';
import { inputLines } from './cli/inputLines.js';

/** What ends a command well, and the exit code of a command that it has ended: 128 and the signal's number. */
const signals = { SIGINT: exitCodes.interrupted, SIGTERM: 143, SIGHUP: 129 } as const;
type Signal = keyof typeof signals;

// A reader that goes away, as `head` does, or a disk that is full is no reason to lose a run.
let isSilent = false;
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || isSilent) return;
    isSilent = true;
    process.stderr.write(`lowrank: the output cannot be written (${error.message}); the work goes on without it\n`);
  });
}

let endedBy: Signal | undefined;

const code = await main(process.argv.slice(2), {
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  isTTY: process.stderr.isTTY === true,
  lines: inputLines,
  onInterrupt(callback) {
    // The first signal is for the command to end well; a second one ends the process, as it would without us.
    const listeners = (Object.keys(signals) as Signal[]).map((signal): [Signal, () => void] => [
      signal,
      () => {
        endedBy = signal;
        release();
        callback();
      },
    ]);
    const release = (): void => {
      for (const [signal, listener] of listeners) process.removeListener(signal, listener);
    };
    for (const [signal, listener] of listeners) process.once(signal, listener);
    return release;
  },
});
process.exitCode = code === exitCodes.interrupted && endedBy !== undefined ? signals[endedBy] : code;
