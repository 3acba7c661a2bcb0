import type { Split } from '../sources/splitFiles.js';
import { findSplit, splitWords } from '../sources/splitFiles.js';

/** A row, and where it stands. */
export interface ImageFolderRow {
  readonly values: { readonly image: string; readonly label: string };
  readonly line: number;
  /** The folder that paths of images begin at, with a slash at its end. */
  readonly name: string;
}

const imageFile = /\.(png|jpe?g|webp)$/i;

/**
 * The images of a folder of classes as rows, `{ image, label }`: the folder that an image is in names its class, as in
 * `datasets`' `imagefolder`. Parts are folders named as files of rows would be: `train/cat/1.png`. Undefined where a
 * path is no such folder, or has no such part, or holds files of rows.
 */
export async function imageFolderRows(path: string, split: Split = 'train'): Promise<ImageFolderRow[] | undefined> {
  if ((await findSplit(path, split)) !== undefined) return undefined;
  const folder = await partFolder(path, split);
  if (folder === undefined) return undefined;
  const rows = (await classesIn(folder)).flatMap(({ label, files }) =>
    files.map((file) => ({ image: `${label}/${file}`, label })),
  );
  return rows.length === 0 ? undefined : rows.map((values, at) => ({ values, line: at + 1, name: `${folder}/` }));
}

/** The parts that a folder of classes has as folders; none where it is one part itself. */
export async function imageFolderSplits(path: string): Promise<Split[]> {
  const found: Split[] = [];
  for (const split of Object.keys(splitWords) as Split[])
    if ((await namedFolder(path, split)) !== undefined) found.push(split);
  return found;
}

/** Of a folder without parts it is itself the training part. */
async function partFolder(path: string, split: Split): Promise<string | undefined> {
  const named = await namedFolder(path, split);
  if (named !== undefined) return named;
  return split === 'train' && (await imageFolderSplits(path)).length === 0 ? path : undefined;
}

async function namedFolder(path: string, split: Split): Promise<string | undefined> {
  const names = (await entriesOf(path)).filter((entry) => entry.isDirectory()).map(({ name }) => name);
  for (const word of splitWords[split]) {
    const name = names.find((each) => each.toLowerCase() === word);
    if (name !== undefined && (await classesIn(`${path}/${name}`)).length > 0) return `${path}/${name}`;
  }
  return undefined;
}

async function classesIn(folder: string): Promise<{ readonly label: string; readonly files: readonly string[] }[]> {
  const classes = [];
  for (const entry of (await entriesOf(folder)).filter((each) => each.isDirectory())) {
    const inside = await entriesOf(`${folder}/${entry.name}`);
    const files = inside.filter((each) => each.isFile() && imageFile.test(each.name)).map(({ name }) => name);
    if (files.length > 0) classes.push({ label: entry.name, files: files.sort() });
  }
  return classes.sort((one, other) => (one.label < other.label ? -1 : 1));
}

async function entriesOf(folder: string) {
  const { readdir } = await import('node:fs/promises');
  return readdir(folder, { withFileTypes: true }).catch(() => []);
}
