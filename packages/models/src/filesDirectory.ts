import { blobSource } from '@lowrank/safetensors';
import type { ModelFiles } from './files.js';

/**
 * A folder that a person picked (`showDirectoryPicker`), or one of the origin's private file system (browsers). Files
 * are read as they are asked for.
 */
export function openDirectory(directory: FileSystemDirectoryHandle): ModelFiles {
  return {
    name: directory.name === '' ? 'the folder' : directory.name,
    async file(name) {
      const handle = await directory.getFileHandle(name).catch((error: unknown) => {
        if (error instanceof DOMException && (error.name === 'NotFoundError' || error.name === 'TypeMismatchError'))
          return undefined;
        throw error;
      });
      return handle === undefined ? undefined : blobSource(await handle.getFile(), name);
    },
  };
}
