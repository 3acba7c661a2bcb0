/** How far a transfer is: a download, or weights that are read. */
export interface TransferProgress {
  /** The file or tensor whose bytes came last. */
  readonly item: string;
  /** Of everything, what an earlier run had already brought included. */
  readonly bytes: number;
  readonly totalBytes: number;
  /** Over the last seconds; 0 until it can be told: something came, and there was time in which it came. */
  readonly bytesPerSecond: number;
  /** At that rate; undefined until it is known. */
  readonly secondsLeft: number | undefined;
}

export interface MeterOptions {
  readonly totalBytes: number;
  /** What was there already: it counts as done, not as speed. */
  readonly bytes?: number;
  /** Milliseconds; a test's own clock. */
  readonly now?: () => number;
}

/** Fewer seconds tell no rate: what was waiting in a buffer came before they began. */
const shortest = 0.25;

/** Seconds over which the rate is taken: short enough to follow a network, long enough to be read. */
const window = 5;

/** Turns counts of bytes into a rate and the time that is left. */
export class TransferMeter {
  private bytes: number;
  private totalBytes: number;
  private readonly now: () => number;
  /** Counts of the last seconds, oldest first. */
  private readonly marks: { readonly time: number; readonly bytes: number }[];

  constructor({ totalBytes, bytes = 0, now = () => performance.now() }: MeterOptions) {
    this.totalBytes = totalBytes;
    this.bytes = bytes;
    this.now = now;
    this.marks = [{ time: now(), bytes }];
  }

  /** The whole is longer: a file whose length nobody said brings more. */
  grow(bytes: number): void {
    this.totalBytes += bytes;
  }

  /** `count` more bytes of `item`; fewer where what came has to come again. */
  add(item: string, count: number): TransferProgress {
    this.bytes += count;
    const time = this.now();
    this.marks.push({ time, bytes: this.bytes });
    while (this.marks.length > 2 && time - (this.marks[1]?.time ?? time) > window * 1000) this.marks.shift();
    const first = this.marks[0];
    const seconds = (time - (first?.time ?? time)) / 1000;
    const bytesPerSecond = seconds >= shortest ? Math.max(0, this.bytes - (first?.bytes ?? 0)) / seconds : 0;
    const left = this.totalBytes - this.bytes;
    return {
      item,
      bytes: this.bytes,
      totalBytes: this.totalBytes,
      bytesPerSecond,
      secondsLeft: left <= 0 ? 0 : bytesPerSecond > 0 ? left / bytesPerSecond : undefined,
    };
  }
}
