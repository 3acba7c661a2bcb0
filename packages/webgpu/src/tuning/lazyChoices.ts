import type { KernelChoices, Plan } from '@lowrank/tensor/backend';
import type { MeasuredForm, ProductSize } from '../choices.js';
import type { TrackOptions } from './productContest.js';
import type { TunedChoices } from './tunedChoices.js';
import type { TunerOptions } from './tunerOptions.js';

/** A backend's choices by measuring. What measures is loaded where there is something to measure or to go by. */
export class LazyChoices implements KernelChoices {
  readonly #track: TrackOptions;
  readonly #options: TunerOptions | undefined;
  #loading: Promise<TunedChoices> | undefined;
  #choices: TunedChoices | undefined;

  /** @param options undefined where nothing is measured: then only choices of a checkpoint count */
  constructor(track: TrackOptions, options: TunerOptions | undefined) {
    this.#track = track;
    const { device } = track;
    const may = device.features.has('timestamp-query') && (!device.software || options?.software === true);
    this.#options = may ? options : undefined;
  }

  get version(): number {
    return this.#choices?.version ?? 0;
  }

  /** For `KernelTuning`. */
  readonly measured = (size: ProductSize): MeasuredForm | undefined => this.#choices?.formOf(size);

  async tune(plan: Plan): Promise<void> {
    if (this.#options !== undefined) await (await this.#load()).tune(plan);
  }

  async begin(saved?: { readonly choices: unknown }): Promise<void> {
    if (this.#options === undefined && this.#choices === undefined && saved?.choices === undefined) return;
    (await this.#load()).begin(saved);
  }

  fix(): void {
    this.#choices?.fix();
  }

  saved(): unknown {
    return this.#choices?.saved();
  }

  #load(): Promise<TunedChoices> {
    return (this.#loading ??= (async () => {
      const { openChoices } = await import('./openChoices.js');
      return (this.#choices = openChoices(this.#track, this.#options));
    })());
  }
}
