export type { FolderView } from '../reading.js';
export { currentFile, viewFolder } from '../reading.js';
export type { Disk } from '../disk.js';
export { ownDisk } from '../ownDisk.js';
