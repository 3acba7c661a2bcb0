import type { MessagePort } from 'node:worker_threads';
import { parentPort } from 'node:worker_threads';
import type { Io } from './io.js';
import { main } from './main.js';
import type { FromWork, ToWork, Work } from './messages.js';

/** Runs a command line on this thread, and tells the main one what to write and how it ended. */
export async function work({ argv, isTTY, columns }: Work): Promise<void> {
  if (parentPort === null) return;
  const io = new ThreadIo(parentPort, isTTY, columns);
  const code = await main(argv, io);
  io.send({ type: 'done', code });
}

/** The process's input, output and signals, which the main thread has. */
class ThreadIo implements Io {
  private readonly interrupts = new Map<number, () => void>();
  private registered = 0;
  private answer: ((line: string | undefined) => void) | undefined;

  constructor(
    private readonly port: MessagePort,
    readonly isTTY: boolean,
    public columns: number | undefined,
  ) {
    port.on('message', (message: ToWork) => this.receive(message));
    // Only who waits for a line of the input keeps the thread alive.
    port.unref();
  }

  send(message: FromWork): void {
    this.port.postMessage(message);
  }

  readonly stdout = (text: string): void => this.send({ type: 'stdout', text });

  readonly stderr = (text: string): void => this.send({ type: 'stderr', text });

  onInterrupt(callback: () => void, notice = ''): () => void {
    const id = this.registered++;
    this.interrupts.set(id, callback);
    this.send({ type: 'listen', id, notice });
    return () => {
      if (this.interrupts.delete(id)) this.send({ type: 'release', id });
    };
  }

  async *lines(prompt: string): AsyncGenerator<string, void, undefined> {
    try {
      for (;;) {
        const line = await this.nextLine(prompt);
        if (line === undefined) return;
        yield line;
      }
    } finally {
      this.send({ type: 'closeInput' });
    }
  }

  private async nextLine(prompt: string): Promise<string | undefined> {
    this.port.ref();
    try {
      return await new Promise((resolve) => {
        this.answer = resolve;
        this.send({ type: 'read', prompt });
      });
    } finally {
      this.port.unref();
    }
  }

  private receive(message: ToWork): void {
    if (message.type === 'columns') this.columns = message.columns;
    else if (message.type === 'line') this.answer?.(message.line);
    else {
      const callbacks = [...this.interrupts.values()];
      this.interrupts.clear();
      for (const callback of callbacks) callback();
    }
  }
}
