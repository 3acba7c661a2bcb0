import type { Disk } from './disk.js';
import { originDisk } from './originDisk.js';

/** Where paths lead in a browser: the origin's private file system. */
export const ownDisk: Disk = originDisk();
