export type { Disk, FileContent } from './disk.js';
export { nodeDisk } from './disk.js';
export type { FolderLock } from './lock.js';
export { lockFolder } from './lock.js';
export type { SafeNameOptions } from './safeName.js';
export { safeName } from './safeName.js';
export type { FolderSaving, SavingOptions } from './saving.js';
export { beginSaving, committedName, currentFile, finishSaving } from './saving.js';
