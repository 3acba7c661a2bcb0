import { LowrankError } from '@lowrank/errors';
import type { ByteParts } from './byteSource.js';
import type { FileFormat, RecordBytes } from './splitRecords.js';
import { RecordSplitter } from './splitRecords.js';

/** Records between two places that are kept: half a byte of index for each record, and little more to read than one. */
const blockRecords = 16;

/** Where the records of a file lie: read in any order later, a few bytes each in memory. */
export class RecordIndex {
  #starts = new Float64Array(1024);
  #lines = new Float64Array(1024);
  #count = 0;

  constructor(
    private readonly name: string,
    private readonly format: FileFormat,
  ) {}

  get length(): number {
    return this.#count;
  }

  /** The next record of the file. */
  add({ start, line }: RecordBytes): void {
    if (this.#count % blockRecords === 0) {
      const block = this.#count / blockRecords;
      if (block === this.#starts.length) {
        [this.#starts, this.#lines] = [doubled(this.#starts), doubled(this.#lines)];
      }
      this.#starts[block] = start;
      this.#lines[block] = line;
    }
    this.#count++;
  }

  /** @throws LowrankError `data.changed` where the record is no longer there */
  async read(record: number, parts: ByteParts): Promise<RecordBytes> {
    const block = Math.floor(record / blockRecords);
    const [start = 0, line = 1] = [this.#starts[block], this.#lines[block]];
    const isLast = (block + 1) * blockRecords >= this.#count;
    const end = isLast ? parts.size : (this.#starts[block + 1] ?? parts.size);
    const splitter = new RecordSplitter(this.format, { at: start, line });
    const records = [...splitter.push(await parts.slice(start, end)), ...splitter.end()];
    const found = records[record % blockRecords];
    if (found !== undefined) return found;
    throw new LowrankError({
      code: 'data.changed',
      what: `${this.name}, near line ${line}`,
      expected: 'the rows that were there when training began',
      got: 'fewer',
      remedy: 'Leave the file as it is while it is trained on.',
    });
  }
}

function doubled(numbers: Float64Array): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(numbers.length * 2);
  larger.set(numbers);
  return larger;
}
