import type { FolderSaving, OutputClaim } from '@lowrank/files';
import { saveTogether } from '@lowrank/files';

/**
 * Saves into a claimed folder whatever `write` stages, all of it or nothing, and ends the claim.
 *
 * @param first the file that makes the folder what it is
 */
export async function saveInto<Result>(
  claim: OutputClaim,
  first: string,
  write: (saving: FolderSaving) => Promise<Result>,
): Promise<Result> {
  try {
    return await saveTogether(claim.beginSaving(first), write);
  } finally {
    // Removes what was made for it and is empty, too.
    await claim.discard();
  }
}
