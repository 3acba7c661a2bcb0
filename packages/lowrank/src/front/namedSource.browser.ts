import type { FoundFiles, SourceOptions } from './foundFiles.js';
import { findInOrigin } from './originSource.js';

/** The files that a text names, in a browser. */
export function findNamed(text: string, _kind: 'model' | 'adapter', options: SourceOptions): Promise<FoundFiles> {
  return findInOrigin(text, options);
}
