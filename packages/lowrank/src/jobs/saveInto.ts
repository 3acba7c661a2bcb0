import type { FolderSaving, OutputClaim } from '@lowrank/files';

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
  let saving: FolderSaving | undefined;
  try {
    saving = await claim.beginSaving(first);
    const result = await write(saving);
    await saving.commit();
    return result;
  } catch (error) {
    await saving?.discard();
    throw error;
  } finally {
    // Removes what was made for it and is empty, too.
    await claim.discard();
  }
}
