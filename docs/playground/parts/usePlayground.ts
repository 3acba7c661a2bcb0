import { inject } from 'vue';
import type { Playground } from '../state/playground';
import { playgroundKey } from '../state/playground';

/** What the page has, for its parts. */
export function usePlayground(): Playground {
  const playground = inject(playgroundKey);
  if (playground === undefined) throw new Error('a part of the playground stands outside it');
  return playground;
}
