import { LowrankError } from '@lowrank/errors';
import type { BankEntry, LoraAdapter } from '@lowrank/lora';
import { BankMix, bankRank, variantOf } from '@lowrank/lora';
import type { Module } from '@lowrank/nn';
import type { AdapterChoice } from './bankChoice.js';
import { baseName, weightsOf } from './bankChoice.js';
import type { AdapterBankOptions, BankLayers } from './bankLayers.js';
import { checkBankFit, entriesOf, wrapInBank } from './bankLayers.js';

/** An adapter made ready for one bank. */
export interface PreparedAdapter {
  readonly bank: AdapterBank;
  readonly entries: ReadonlyMap<string, BankEntry>;
}

/** What a bank has to be like to hold all of these adapters at a time. */
export function bankFor(
  adapters: readonly LoraAdapter[],
): AdapterBankOptions & { readonly targetModules: readonly string[] } {
  const layers = adapters.flatMap(({ config, layers: own }) =>
    [...own.values()].map((matrices) => bankRank(matrices, config)),
  );
  return {
    slots: Math.max(1, adapters.length),
    rank: Math.max(1, ...layers),
    targetModules: [...new Set(adapters.flatMap(({ layers: own }) => [...own.keys()]))],
    loraBias: adapters.some(({ config }) => config.loraBias === true),
    useDora: adapters.some(({ config }) => variantOf(config).factor !== undefined),
  };
}

/**
 * Puts a bank of adapters around layers of a model, for serving: any number of adapters come and go, are set, switched
 * off, summed with weights, and chosen row by row, while everything that is compiled after this goes on as it is. The
 * base is neither copied nor changed, and may be quantized. Not for training.
 *
 * The first axis of what goes through the layers is the batch. A packed batch (one row of several documents) has one
 * row, and uses what row 0 uses.
 *
 * @throws LowrankError `patch.bank` for invalid sizes, where the model has adapters already, and around the
 * output projection; `patch.noTargets`, `patch.notLinear`
 */
export function openAdapterBank(model: Module, options: AdapterBankOptions): AdapterBank {
  const { slots, rank, rows = 1 } = options;
  for (const [name, size] of Object.entries({ slots, rank, rows }))
    if (!Number.isInteger(size) || size < 1)
      throw new LowrankError({
        code: 'patch.bank',
        what: `${name} of a bank of adapters`,
        expected: 'a whole number of at least 1',
        got: String(size),
      });
  const mix = new BankMix({ slots, rank, rows });
  return new AdapterBank(model, options, { mix, layers: wrapInBank(model, mix, options) });
}

/**
 * A bank around a model's layers; see {@link openAdapterBank}. What takes effect does so for every run that is asked
 * for later: await a run before you switch.
 */
export class AdapterBank {
  private readonly mix: BankMix;
  private readonly layers: BankLayers;
  private readonly slotOf = new Map<string, number>();
  private chosen: readonly ReadonlyMap<string, number>[];
  private disabled = 0;
  private disposed = false;

  constructor(
    private readonly model: Module,
    readonly options: AdapterBankOptions,
    { mix, layers }: { mix: BankMix; layers: BankLayers },
  ) {
    this.mix = mix;
    this.layers = layers;
    this.chosen = Array.from({ length: mix.sizes.rows }, () => new Map<string, number>());
  }

  /** The adapters that are loaded. */
  get names(): readonly string[] {
    return [...this.slotOf.keys()];
  }

  /** What each row uses: weights by name. */
  get rows(): readonly ReadonlyMap<string, number>[] {
    return this.chosen;
  }

  /**
   * Makes an adapter ready: does all checks and computations, so that `put` only copies. Changes nothing.
   *
   * @throws LowrankError `patch.bank` with all that does not fit: layers that the bank or the adapter lacks, shapes,
   * ranks, biases and variants, tensors saved whole that differ from the model's, numbers that are not finite
   */
  async prepare(adapter: LoraAdapter): Promise<PreparedAdapter> {
    this.check();
    await checkBankFit(this.model, adapter, { layers: this.layers, ...this.options });
    return { bank: this, entries: await entriesOf(adapter, this.layers, this.mix.sizes.rank) };
  }

  /**
   * Writes a prepared adapter into a free slot, or, where the name is taken, over the one of that name: rows that use
   * it go on with the new one.
   *
   * @throws LowrankError `patch.bank` where no slot is free, and for what another bank prepared
   */
  put(name: string, { bank, entries }: PreparedAdapter): void {
    this.check();
    if (bank !== this)
      throw new LowrankError({
        code: 'patch.bank',
        what: `the adapter ${name}`,
        expected: 'one that this bank prepared',
        got: 'another bank’s',
      });
    const slot = this.slotOf.get(name) ?? this.freeSlot(name);
    for (const [path, { layer }] of this.layers) layer.write(slot, entries.get(path));
    this.slotOf.set(name, slot);
  }

  /** `prepare` and `put`. */
  async load(name: string, adapter: LoraAdapter): Promise<void> {
    if (!this.slotOf.has(name)) this.freeSlot(name);
    this.put(name, await this.prepare(adapter));
  }

  /** Gives a slot free. Rows that used the adapter go on without it. @throws LowrankError `patch.noAdapter` */
  unload(name: string): void {
    this.check();
    weightsOf([name], this.slotOf);
    this.chosen = this.chosen.map((row) => new Map([...row].filter(([other]) => other !== name)));
    this.slotOf.delete(name);
    this.write();
  }

  /** All rows use this from now on; nothing given: the base alone. @throws LowrankError `patch.noAdapter` */
  use(choice?: AdapterChoice): void {
    this.check();
    const weights = weightsOf(choice, this.slotOf);
    this.chosen = this.chosen.map(() => weights);
    this.write();
  }

  /**
   * Each row of the batch uses its own; rows beyond those that are named use the base alone. @throws LowrankError
   * `patch.noAdapter`, `patch.bank` for more rows than the bank has
   */
  useRows(choices: readonly AdapterChoice[]): void {
    this.check();
    const { length: rows } = this.chosen;
    if (choices.length > rows || rows === 1)
      throw new LowrankError({
        code: 'patch.bank',
        what: `adapters for ${choices.length} rows`,
        expected: rows === 1 ? 'a bank that was opened for several rows' : `at most ${rows} rows`,
        got: rows === 1 ? 'one for all rows' : String(choices.length),
        remedy: 'Open the bank with `rows` of the largest batch.',
      });
    const weights = choices.map((choice) => weightsOf(choice, this.slotOf));
    this.chosen = this.chosen.map((_, at) => weights[at] ?? new Map<string, number>());
    this.write();
  }

  /**
   * Switches all adapters off until `fn` and its promise have ended: the base alone. A choice made within the scope
   * takes effect after it. Scopes may nest.
   */
  async withBase<T>(fn: () => T | Promise<T>): Promise<T> {
    this.check();
    this.disabled++;
    this.write();
    try {
      return await fn();
    } finally {
      this.disabled--;
      if (!this.disposed) this.write();
    }
  }

  /** Puts the model's own layers back and frees the bank. Dispose of what was compiled with it first. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const [path, { layer }] of this.layers) {
      this.model.setModule(path, layer.base);
      layer.disposeBank();
    }
    this.mix.dispose();
  }

  private freeSlot(name: string): number {
    const { slots } = this.mix.sizes;
    if (name === baseName || name === '')
      throw new LowrankError({
        code: 'patch.bank',
        what: 'the name of an adapter',
        expected: `a name other than '' and ${baseName}`,
        got: name,
      });
    const taken = new Set(this.slotOf.values());
    const free = Array.from({ length: slots }, (_, slot) => slot).find((slot) => !taken.has(slot));
    if (free === undefined)
      throw new LowrankError({
        code: 'patch.bank',
        what: `a slot for the adapter ${name}`,
        expected: `at most ${slots} adapters at a time`,
        got: `${slots} others: ${this.names.join(', ')}`,
        remedy: 'Unload one, load it over one of the same name, or open the bank with more slots.',
      });
    return free;
  }

  private write(): void {
    const { slots } = this.mix.sizes;
    const values = new Float32Array(this.chosen.length * slots);
    if (this.disabled === 0)
      this.chosen.forEach((row, at) =>
        row.forEach((weight, name) => (values[at * slots + (this.slotOf.get(name) ?? NaN)] = weight)),
      );
    this.mix.write(values);
  }

  private check(): void {
    if (this.disposed)
      throw new LowrankError({
        code: 'patch.bank',
        what: 'a bank of adapters',
        expected: 'an open one',
        got: 'a disposed one',
      });
  }
}
