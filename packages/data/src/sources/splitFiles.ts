import { LowrankError } from '@lowrank/errors';

/** The parts that a data set is divided into. */
export type Split = 'train' | 'validation' | 'test';

/** What files of a part are called: `datasets`' words, of which mlx-lm's train, valid and test are some. */
export const splitWords: Readonly<Record<Split, readonly string[]>> = {
  train: ['train', 'training'],
  validation: ['validation', 'valid', 'val', 'dev'],
  test: ['test', 'testing', 'eval', 'evaluation'],
};

const extensions = /\.(jsonl|ndjson|json|csv|tsv|txt|parquet)(\.gz)?$/i;

/**
 * The files of a path: itself, or of a folder those whose name begins with the part's (`valid.jsonl`,
 * `train-00000-of-00002.parquet`), there or in its `data`, in the order of their names. A folder with a single file of
 * rows and none named so is that file.
 *
 * @throws LowrankError `data.missing` for a folder without such files
 */
export async function splitFiles(path: string, split: Split = 'train'): Promise<readonly string[]> {
  const found = await findSplit(path, split);
  if (found !== undefined) return found;
  throw new LowrankError({
    code: 'data.missing',
    what: path,
    expected: `a file of rows named ${splitWords[split].join(', ')}, such as ${splitWords[split][0]}.jsonl`,
    got: 'a folder without one',
    remedy: 'Name the file itself, or put it into the folder under such a name.',
  });
}

/** The same; undefined for a folder that has no such part. A file has none but `train`, which it is itself. */
export async function findSplit(path: string, split: Split): Promise<readonly string[] | undefined> {
  const { readdir, stat } = await import('node:fs/promises');
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) return split === 'train' ? [path] : undefined;
  for (const folder of [path, `${path}/data`]) {
    const names = (await readdir(folder).catch(() => [])).filter((name) => extensions.test(name)).sort();
    const named = names.filter((name) => partOf(name) === split);
    if (named.length > 0) return named.map((name) => `${folder}/${name}`);
    const [only] = names;
    if (split === 'train' && names.length === 1 && only !== undefined && partOf(only) === undefined)
      return [`${folder}/${only}`];
  }
  return undefined;
}

/** `valid.jsonl` → validation; the word may stand anywhere in the name, between marks or digits. */
function partOf(name: string): Split | undefined {
  const parts = name.toLowerCase().split(/[-._ 0-9]+/);
  return (Object.keys(splitWords) as Split[]).find((split) => splitWords[split].some((word) => parts.includes(word)));
}
