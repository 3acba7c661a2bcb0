import { createInterface } from 'node:readline';

/** Lines of the process's input: on a terminal with a prompt, line editing and history; piped, as they come. */
export async function* inputLines(prompt: string): AsyncGenerator<string, void, undefined> {
  const isTerminal = process.stdin.isTTY === true;
  const reader = createInterface({
    input: process.stdin,
    ...(isTerminal ? { output: process.stdout, prompt } : {}),
    terminal: isTerminal,
  });
  // On a terminal the reader catches Ctrl-C: it is for whoever listens, else it ends the input.
  reader.on('SIGINT', () => {
    if (process.listenerCount('SIGINT') > 0) process.emit('SIGINT');
    else reader.close();
  });
  try {
    if (isTerminal) reader.prompt();
    for await (const line of reader) {
      yield line;
      if (isTerminal) reader.prompt();
    }
  } finally {
    reader.close();
  }
}
