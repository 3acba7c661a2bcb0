/** Where what was measured is kept from one process to the next, a text under a name. */
export interface TuningStore {
  /** Undefined where there is none. */
  read(name: string): Promise<string | undefined>;
  write(name: string, text: string): Promise<void>;
}

/** What was measured for a plan. */
export interface TunedEvent {
  /** Classes of products that were decided on. */
  readonly classes: number;
  /** Those of them that were measured; the others came too late, and keep the table's form. */
  readonly measured: number;
  /** Those that got another form than the table's. */
  readonly faster: number;
  readonly seconds: number;
}

/** How kernels are chosen by measuring. */
export interface TunerOptions {
  /** Default: nothing is kept, and every process measures. */
  readonly store?: TuningStore | undefined;
  /** Seconds in all that measuring may take. Default 3. */
  readonly seconds?: number | undefined;
  /** Also on adapters that compute on the CPU, where it is not worth the time. Default: no. */
  readonly software?: boolean | undefined;
  readonly onTuned?: ((event: TunedEvent) => void) | undefined;
}
