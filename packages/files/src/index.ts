export type { Disk, FileContent } from './disk.js';
export { nodeDisk } from './disk.js';
export type { FolderLock } from './lock.js';
export { lockFolder } from './lock.js';
export type { OutputFolder } from './outputFolder.js';
export { openOutputFolder } from './outputFolder.js';
export type { FolderSaving, SavingOptions } from './saving.js';
export { beginSaving, committedName, currentFile, finishSaving } from './saving.js';
