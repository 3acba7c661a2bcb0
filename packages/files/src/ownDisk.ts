import type { Disk } from './disk.js';
import { nodeDisk } from './nodeDisk.js';
import { originDisk } from './originDisk.js';

/** Deno and Bun have Node's file system too. */
const inNode = typeof process === 'object' && process.versions?.node !== undefined;

/** Where paths lead: Node's file system, or in a browser the origin's private one. */
export const ownDisk: Disk = inNode ? nodeDisk : originDisk();
