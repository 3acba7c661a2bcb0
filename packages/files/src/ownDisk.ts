import type { Disk } from './disk.js';
import { nodeDisk } from './nodeDisk.js';

/** Where paths lead: Node's file system (Deno's and Bun's too); in the build for browsers the origin's private one. */
export const ownDisk: Disk = nodeDisk;
