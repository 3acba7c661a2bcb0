import { printable } from '@lowrank/errors';

/** Where a command reads its interrupts and writes its words: the process, or a test. */
export interface Io {
  stdout(text: string): void;
  stderr(text: string): void;
  /** Whether stderr is a terminal that a progress bar can be drawn on. */
  readonly isTTY: boolean;
  /** Lines that are typed, or piped in; on a terminal each after `prompt`. */
  lines?(prompt: string): AsyncIterable<string>;
  /** Columns of that terminal. */
  readonly columns?: number | undefined;
  /**
   * Calls back on Ctrl-C until the function it returns is called. The callback comes when the work lets it; `notice`
   * is written to stderr at once.
   */
  onInterrupt(callback: () => void, notice?: string): () => void;
}

/**
 * A command's voice: JSON lines on stdout with `--json`, else sentences; whatever is said on the way goes to stderr.
 */
export class Speaker {
  constructor(
    readonly io: Io,
    readonly json: boolean,
  ) {}

  /** To people, on the way. */
  say(text: string): void {
    this.io.stderr(`${printable(text)}\n`);
  }

  /** An object on the way: only `--json` shows it. */
  line(value: object): void {
    if (this.json) this.io.stdout(`${JSON.stringify(value)}\n`);
  }

  /** What a model wrote, as it is: the last line of stdout. */
  written(value: object, text: string): void {
    this.io.stdout(this.json ? `${JSON.stringify(value)}\n` : text === '' ? '' : `${text}\n`);
  }

  /** What the command was asked for: the last line of stdout. Control characters of files are escaped. */
  result(value: object, text: string): void {
    this.io.stdout(this.json ? `${JSON.stringify(value)}\n` : text === '' ? '' : `${printable(text)}\n`);
  }
}
