import type { Backend } from '@lowrank/tensor';
import type { BackendNeeds, BackendOrOpener } from '../device.js';
import type { FineTuneFolderOptions } from './fineTuneOptions.js';
import type { MeteredBackend } from './meteredBackend.js';
import { meteredBackend } from './meteredBackend.js';

/** The devices of a run that may be begun again: with `autoBatch`, without what the attempt before left on them. */
export class RunDevices {
  readonly backend: BackendOrOpener;
  /** What the caller's function opened last. */
  opened: Backend | undefined;
  private metered: MeteredBackend | undefined;

  constructor({ backend, autoBatch = false }: Pick<FineTuneFolderOptions, 'backend' | 'autoBatch'>) {
    const isOpener = typeof backend === 'function';
    // The device of a caller is none to be replaced, but its memory can be had back.
    const open = isOpener
      ? async (needs: BackendNeeds) => (this.opened = await backend(needs))
      : () => Promise.resolve(backend);
    const metered = async (needs: BackendNeeds): Promise<Backend> =>
      (this.metered = meteredBackend(await open(needs))).backend;
    this.backend = autoBatch ? metered : isOpener ? open : backend;
  }

  /** Frees what an attempt left. */
  release(): void {
    this.metered?.release();
    this.metered = undefined;
  }
}
