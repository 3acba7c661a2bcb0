import type * as Files from '@lowrank/files';
import type * as Lowrank from 'lowrank';
import type * as Storage from 'lowrank/storage';

/** What a page and its worker have as `tab`; a page has no front door. */
export interface TabModules {
  readonly files: typeof Files;
  readonly lowrank: typeof Lowrank;
  readonly storage: typeof Storage;
}
