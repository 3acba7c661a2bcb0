import { getHeapStatistics } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { inputLines } from './inputLines.js';
import type { FromWork, ToWork, Work } from './messages.js';

/** What ends a command well, and the exit code of a command that it has ended: 128 and the signal's number. */
const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
type Signal = keyof typeof signals;
const signalNames = Object.keys(signals) as Signal[];

/**
 * A signal that comes again within so many milliseconds is the same one: npx and pnpm pass on a Ctrl-C that the
 * terminal has sent to the whole group.
 */
const sameSignal = 50;

/**
 * Runs a command line on a thread of its own and resolves to the exit code. The main thread, where Node delivers
 * signals, only listens and writes: a training step, a matrix of a quantization or a decomposition may hold the other
 * thread for minutes.
 *
 * @param program the file that, as a worker thread, does the {@link Work}
 */
export async function runInThread(program: URL, argv: readonly string[]): Promise<number> {
  tolerateFullOutput();
  const { columns } = process.stderr;
  // Undefined where it is none, whatever its type says.
  const isTTY = Boolean(process.stderr.isTTY);
  const worker = new Worker(program, {
    workerData: { lowrank: 'work', argv, isTTY, columns } satisfies Work,
    // A thread's own default is smaller than a process's.
    resourceLimits: { maxOldGenerationSizeMb: Math.floor(getHeapStatistics().heap_size_limit / 2 ** 20) },
  });
  const send = (message: ToWork): void => worker.postMessage(message);
  const listener = new SignalListener(() => send({ type: 'interrupt' }));
  const input = new Input((line) => send({ type: 'line', line }));
  const onResize = (): void => send({ type: 'columns', columns: process.stderr.columns });
  process.stderr.on('resize', onResize);
  let code = 1;
  worker.on('message', (message: FromWork) => {
    switch (message.type) {
      case 'stdout':
        return void process.stdout.write(message.text);
      case 'stderr':
        return void process.stderr.write(message.text);
      case 'listen':
        return listener.listen(message.id, message.notice);
      case 'release':
        return listener.release(message.id);
      case 'read':
        return void input.read(message.prompt);
      case 'closeInput':
        return input.close();
      case 'done':
        code = message.code;
    }
  });
  worker.on('error', (error) => process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`));
  await new Promise((resolve) => worker.on('exit', resolve));
  process.stderr.removeListener('resize', onResize);
  listener.close();
  input.close();
  return code === signals.SIGINT && listener.endedBy !== undefined ? signals[listener.endedBy] : code;
}

/** A reader that goes away, as `head` does, or a disk that is full is no reason to lose a run. */
function tolerateFullOutput(): void {
  let isSilent = false;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE' || isSilent) return;
      isSilent = true;
      process.stderr.write(`lowrank: the output cannot be written (${error.message}); the work goes on without it\n`);
    });
  }
}

/** The first signal is for the command, if it listens, to end well; a second one ends the process, as without us. */
class SignalListener {
  endedBy: Signal | undefined;
  private readonly notices = new Map<number, string>();
  private readonly listeners = signalNames.map((signal) => [signal, () => this.receive(signal)] as const);
  private listening = false;
  private interrupted: NodeJS.Timeout | undefined;

  constructor(private readonly interrupt: () => void) {}

  listen(id: number, notice: string): void {
    this.notices.set(id, notice);
    if (this.listening) return;
    this.listening = true;
    for (const [signal, listener] of this.listeners) process.on(signal, listener);
  }

  release(id: number): void {
    this.notices.delete(id);
    if (this.notices.size === 0 && this.interrupted === undefined) this.stop();
  }

  close(): void {
    clearTimeout(this.interrupted);
    this.stop();
  }

  private receive(signal: Signal): void {
    if (this.interrupted !== undefined) return;
    this.endedBy = signal;
    for (const notice of this.notices.values()) process.stderr.write(notice);
    this.notices.clear();
    this.interrupt();
    this.interrupted = setTimeout(() => {
      this.interrupted = undefined;
      if (this.notices.size === 0) this.stop();
    }, sameSignal);
  }

  /** From now on a signal does what it does to any process. */
  private stop(): void {
    this.listening = false;
    for (const [signal, listener] of this.listeners) process.removeListener(signal, listener);
  }
}

/** Lines of the process's input, one at a time, as the work asks for them. */
class Input {
  private iterator: AsyncGenerator<string, void, undefined> | undefined;

  constructor(private readonly answer: (line: string | undefined) => void) {}

  async read(prompt: string): Promise<void> {
    this.iterator ??= inputLines(prompt);
    const { value, done } = await this.iterator.next();
    this.answer(done === true ? undefined : value);
  }

  close(): void {
    if (this.iterator === undefined) return;
    void this.iterator.return();
    // A line may still be waited for, by a thread that has ended.
    process.stdin.destroy();
    this.iterator = undefined;
  }
}
