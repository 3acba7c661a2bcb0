import type { Dataset, LoadDatasetOptions, RowSelection } from './dataset.js';
import { encodeSelected, selectRows } from './dataset.js';
import type { FileSide } from './fileRows.js';
import { fileRows } from './fileRows.js';
import { describeForms } from './rowForms.js';
import type { RowSource } from './rowSource.js';
import { openRows, rowSourceName } from './rowSource.js';
import { readFiles, readObjects } from './readRows.js';
import type { OpenedFile } from './sources/records.js';
import { spooled } from './sources/spool.js';
import type { TextTokenizer } from './tokenizer.js';
import type { TrainingRows } from './trainingRows.js';
import { memoryRows } from './trainingRows.js';
import type { ValidationCut } from './validationCut.js';
import { cutValidation } from './validationCut.js';

export interface TrainingDataOptions extends LoadDatasetOptions {
  /** Rows held out to be evaluated. */
  readonly validation?: ValidationCut | undefined;
  /** Megabytes of files whose rows are held in memory; those of larger ones are read as they are drawn. Default 64. */
  readonly dataMemory?: number | undefined;
}

/** Rows to be drawn from, with what is known of them before. */
export interface ReadSide {
  readonly rows: TrainingRows;
  /** What is known of the rows: all of them, or a sample of those that stay in their file. */
  readonly dataset: Dataset;
  /** Whether `dataset` is a sample. */
  readonly isSample: boolean;
}

/** Rows to train on, and those held out for validation. */
export interface TrainingData {
  readonly train: ReadSide;
  readonly validation?: ReadSide;
}

/** Rows of a large file that are looked at before the first step. */
const sampledRows = 1000;

/**
 * Rows to train on, and of a cut those to evaluate: in memory, or where the files are large in the files, of which then
 * every row is checked once. What is drawn from both is the same.
 *
 */
export async function readTraining(
  source: RowSource,
  tokenizer: TextTokenizer,
  given: TrainingDataOptions = {},
): Promise<TrainingData> {
  const options = { ...given, name: given.name ?? rowSourceName(source) };
  if (Array.isArray(source)) return inMemory(readObjects(source, options), tokenizer, options);
  const files = await openRows(source as Exclude<RowSource, readonly object[]>, options);
  if (areLarge(files, options) && (options.parts ?? []).length === 0) {
    const readable = await readableFiles(files);
    if (readable !== undefined) return inFiles(readable, tokenizer, options);
  }
  try {
    return await inMemory(await readFiles(files, options), tokenizer, options);
  } finally {
    for (const file of files) await file.source.close();
  }
}

/** Whether the rows of a source stay in its files: they hold more than `dataMemory` megabytes. */
export async function isLargeSource(
  source: Exclude<RowSource, readonly object[]>,
  options: RowSelection & Pick<TrainingDataOptions, 'dataMemory'>,
): Promise<boolean> {
  const files = await openRows(source, { ...options, name: rowSourceName(source) });
  try {
    return areLarge(files, options);
  } finally {
    for (const file of files) await file.source.close();
  }
}

function areLarge(files: readonly OpenedFile[], { dataMemory = 64 }: Pick<TrainingDataOptions, 'dataMemory'>): boolean {
  return files.reduce((sum, file) => sum + expectedBytes(file), 0) > dataMemory * 2 ** 20;
}

type NamedOptions = TrainingDataOptions & { readonly name: string };

async function inMemory(
  { rows, forms }: Awaited<ReturnType<typeof readFiles>>,
  tokenizer: TextTokenizer,
  options: NamedOptions,
): Promise<TrainingData> {
  const side = async (some: typeof rows): Promise<ReadSide> => {
    const dataset = await encodeSelected({ rows: some, forms }, tokenizer, options);
    return { rows: memoryRows(dataset), dataset, isSample: false };
  };
  const selected = selectRows(rows, options);
  if (options.validation === undefined) return { train: await side(selected) };
  const { train, validation } = cutValidation(selected, options.validation, options.name);
  return { train: await side(train), validation: await side(validation) };
}

async function inFiles(
  files: readonly OpenedFile[],
  tokenizer: TextTokenizer,
  options: NamedOptions,
): Promise<TrainingData> {
  try {
    const { train, validation, forms } = await fileRows(files, tokenizer, options);
    const side = async (given: FileSide): Promise<ReadSide> => {
      const { rows } = given;
      const some = { rows: await given.sample(sampledRows, options.validation?.seed ?? 0), forms };
      const dataset = await encodeSelected(some, tokenizer, options);
      return {
        rows,
        dataset: { ...dataset, forms: describeForms(forms, rows.length) },
        isSample: rows.length > sampledRows,
      };
    };
    return { train: await side(train), ...(validation === undefined ? {} : { validation: await side(validation) }) };
  } catch (error) {
    for (const file of files) await file.source.close();
    throw error;
  }
}

/** How many bytes of text a file holds, as far as its size tells: packed ones hold several times as many. */
function expectedBytes({ kind, isCompressed, source, packedBytes = 0 }: OpenedFile): number {
  if (isCompressed) return packedBytes * 4;
  return (source.parts?.size ?? 0) * (kind.format === 'parquet' ? 3 : 1);
}

/** Files whose records can be read in any order; undefined where one cannot be made so, as in a page. */
async function readableFiles(files: readonly OpenedFile[]): Promise<OpenedFile[] | undefined> {
  const readable: OpenedFile[] = [];
  for (const file of files) {
    if (file.source.parts !== undefined && file.kind.format !== 'parquet') readable.push(file);
    else if (typeof process === 'undefined') return undefined;
    else readable.push(await spooled(file));
  }
  return readable;
}
