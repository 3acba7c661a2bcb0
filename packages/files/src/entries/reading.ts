export type { FolderView } from '../reading.js';
export { currentFile, viewFolder } from '../reading.js';
