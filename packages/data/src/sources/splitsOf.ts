import { imageFolderSplits } from '../images/imageFolder.js';
import { isAddress } from './byteSource.js';
import type { Split } from './splitFiles.js';
import { findSplit } from './splitFiles.js';

/** The parts that a source has: those of a folder's files; a file itself, and what is no path, has none. */
export async function splitsOf(source: unknown): Promise<readonly Split[]> {
  if (typeof source !== 'string' || source === '-' || isAddress(source)) return [];
  const splits: Split[] = [];
  for (const split of ['train', 'validation', 'test'] as const) {
    const files = await findSplit(source, split);
    if (files !== undefined && files[0] !== source) splits.push(split);
  }
  if (splits.length > 0) return splits;
  return imageFolderSplits(source);
}
