import type { LoraAdapter } from '@lowrank/lora';
import type { CreateGeneratorOptions, GeneratedText, GeneratorOptions, Generator, Prompt } from '@lowrank/models';
import { createGenerator } from '@lowrank/models';
import type { AdapterBank } from '@lowrank/patch';
import { activateAdapter, bankFor, bankObstacles, loadAdapter, openAdapterBank } from '@lowrank/patch';
import type { OpenModel } from './openModel.js';

/** A model that writes with one of several adapters, or with none. */
export interface AdapterSwitch {
  /** What is cached of earlier texts is used where the same adapter has written it, and never where another has. */
  generate(
    adapter: string | undefined,
    prompts: readonly Prompt[],
    options: Omit<GeneratorOptions, 'reusePrefix'>,
  ): Promise<GeneratedText[]>;
  dispose(): Promise<void>;
}

/**
 * Puts adapters into a bank around the model, so that one generator with one set of plans serves them all and switching
 * compiles nothing. Those that a bank cannot hold (biases of the model that were trained too, whole tensors) wrap the
 * model's layers, with a generator for each.
 */
export async function openAdapterSwitch(
  { module }: OpenModel,
  adapters: ReadonlyMap<string, LoraAdapter>,
  on: CreateGeneratorOptions,
): Promise<AdapterSwitch> {
  const make = (): Generator => createGenerator(module, on);
  if (adapters.size === 0) return new BankSwitch(make(), undefined);
  const obstacles = await Promise.all([...adapters.values()].map((adapter) => bankObstacles(module, adapter)));
  if (obstacles.every(({ length }) => length === 0)) {
    const bank = openAdapterBank(module, bankFor([...adapters.values()]));
    try {
      for (const [name, adapter] of adapters) await bank.load(name, adapter);
    } catch (error) {
      bank.dispose();
      throw error;
    }
    return new BankSwitch(make(), bank);
  }
  for (const [name, adapter] of adapters) await loadAdapter(module, adapter, { name });
  return new AttachedSwitch(make, (adapter) => activateAdapter(module, adapter === undefined ? [] : [adapter]));
}

class BankSwitch implements AdapterSwitch {
  /** Who wrote what the generator's caches hold; undefined: nobody, or not to the end. */
  private writer: { readonly adapter: string | undefined } | undefined;

  constructor(
    private readonly generator: Generator,
    private readonly bank: AdapterBank | undefined,
  ) {}

  async generate(
    adapter: string | undefined,
    prompts: readonly Prompt[],
    options: Omit<GeneratorOptions, 'reusePrefix'>,
  ): Promise<GeneratedText[]> {
    const reusePrefix = this.writer !== undefined && this.writer.adapter === adapter;
    this.writer = undefined;
    this.bank?.use(adapter);
    const texts = await this.generator.generate(prompts, { ...options, reusePrefix });
    this.writer = { adapter };
    return texts;
  }

  async dispose(): Promise<void> {
    await this.generator.dispose();
    this.bank?.dispose();
  }
}

/** A plan keeps the adapters that it was traced with, so each adapter has a generator of its own. */
class AttachedSwitch implements AdapterSwitch {
  private readonly generators = new Map<string | undefined, Generator>();

  constructor(
    private readonly make: () => Generator,
    private readonly activate: (adapter: string | undefined) => void,
  ) {}

  async generate(
    adapter: string | undefined,
    prompts: readonly Prompt[],
    options: Omit<GeneratorOptions, 'reusePrefix'>,
  ): Promise<GeneratedText[]> {
    this.activate(adapter);
    const generator = this.generators.get(adapter) ?? this.make();
    this.generators.set(adapter, generator);
    return generator.generate(prompts, { ...options, reusePrefix: true });
  }

  async dispose(): Promise<void> {
    for (const generator of this.generators.values()) await generator.dispose();
    this.generators.clear();
  }
}
