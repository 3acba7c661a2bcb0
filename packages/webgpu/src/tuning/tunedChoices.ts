import type { Plan } from '@lowrank/tensor/backend';
import type { MeasuredForm, ProductSize } from '../choices.js';
import { productCandidates } from './productCandidates.js';
import type { CandidateContext } from './productCandidates.js';
import { shapeClass } from './shapeClass.js';
import { sizeOfClass } from './tuner.js';
import type { Tuner } from './tuner.js';

/** What a checkpoint holds of choices: the forms that are not the table's, by class. */
interface SavedChoices {
  readonly device: string;
  readonly forms: Readonly<Record<string, string>>;
}

/** Choices by measuring, which hold still while a training goes on, and are a checkpoint's where it has one. */
export class TunedChoices {
  version = 0;
  readonly #tuner: Tuner | undefined;
  readonly #context: CandidateContext;
  readonly #device: string;
  /** Forms by class, beside which only the table counts; undefined where measuring decides. */
  #pinned: ReadonlyMap<string, string> | undefined;
  readonly #used = new Map<string, string>();
  readonly #forms = new Map<string, MeasuredForm | undefined>();
  #queue: Promise<unknown> = Promise.resolve();

  /** @param device what forms of a checkpoint have to be of */
  constructor(tuner: Tuner | undefined, { context, device }: { context: CandidateContext; device: string }) {
    this.#tuner = tuner;
    this.#context = context;
    this.#device = device;
  }

  /** The form of a product, where it is not the table's. */
  formOf(size: ProductSize): MeasuredForm | undefined {
    const shape = shapeClass(size);
    if (shape === undefined) return undefined;
    const name = this.#pinned === undefined ? this.#tuner?.chosen(shape.key) : this.#pinned.get(shape.key);
    if (name === undefined) return undefined;
    const id = `${shape.key} ${name}`;
    if (!this.#forms.has(id)) {
      const candidates = productCandidates(sizeOfClass(size, shape), this.#context);
      this.#forms.set(id, candidates.find((each) => each.name === name)?.form);
    }
    this.#used.set(shape.key, name);
    return this.#forms.get(id);
  }

  /** One plan after another: what is measured together is slow together. */
  async tune(plan: Plan): Promise<void> {
    const turn = this.#queue.then(async () => {
      if (this.#pinned === undefined && (await this.#tuner?.decide(plan)) === true) this.version++;
    });
    this.#queue = turn.catch(() => undefined);
    await turn;
  }

  begin(saved?: { readonly choices: unknown }): void {
    this.version++;
    this.#used.clear();
    this.#pinned = undefined;
    if (saved === undefined) return;
    if (saved.choices === undefined) this.#pinned = new Map();
    else if (isSaved(saved.choices) && saved.choices.device === this.#device)
      this.#pinned = new Map(Object.entries(saved.choices.forms));
  }

  fix(): void {
    this.#pinned ??= new Map(this.#used);
  }

  saved(): SavedChoices | undefined {
    const forms = Object.fromEntries([...(this.#pinned ?? this.#used)].sort(([a], [b]) => (a < b ? -1 : 1)));
    return Object.keys(forms).length === 0 ? undefined : { device: this.#device, forms };
  }
}

function isSaved(value: unknown): value is SavedChoices {
  if (typeof value !== 'object' || value === null) return false;
  const { device, forms } = value as Partial<Record<keyof SavedChoices, unknown>>;
  if (typeof device !== 'string' || typeof forms !== 'object' || forms === null) return false;
  return Object.values(forms).every((form) => typeof form === 'string');
}
